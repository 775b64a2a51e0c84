import { existsSync } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import type { Owner } from './redis.ts'

/** Path of Debian's package; the environment can name another browser. */
const PATHS = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/chromium-browser'].filter(
  (path) => path !== undefined,
)

/**
 * No background network access, WebGL by the software renderer of Chromium, and no sandbox, which does not run as root.
 */
const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-dev-shm-usage',
  '--enable-unsafe-swiftshader',
]

export interface OpenedPage {
  readonly page: Page
  /** Console errors, uncaught exceptions and failed requests so far. */
  readonly faults: string[]
}

export interface Chromium {
  readonly browser: Browser
  /** A page with a separate context, by default 1280×720. */
  open(options?: BrowserContextOptions): Promise<OpenedPage>
}

/**
 * Starts Debian's Chromium without a window; it ends with the owner.
 * @throws Error in one sentence when it is missing
 */
export async function startChromium(owner?: Owner): Promise<Chromium> {
  const executablePath = PATHS.find((path) => existsSync(path))
  if (executablePath === undefined)
    throw new Error(
      'Chromium is missing; install it with `apt-get install chromium` (Debian), or name it in CHROMIUM',
    )
  const browser = await chromium.launch({ executablePath, args: FLAGS, timeout: 60_000 })
  owner?.onTestFinished(() => browser.close())
  const open = async (options: BrowserContextOptions = {}) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, ...options })
    const page = await context.newPage()
    return { page, faults: collectFaults(page) }
  }
  return { browser, open }
}

function collectFaults(page: Page): string[] {
  const faults: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`console: ${message.text()}`)
  })
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`))
  page.on('requestfailed', (request) => {
    // Leaving a page aborts its requests.
    const reason = request.failure()?.errorText ?? ''
    if (reason !== 'net::ERR_ABORTED') faults.push(`request: ${request.url()} ${reason}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`answer: ${response.url()} ${response.status()}`)
  })
  return faults
}
