/** How smoothly does the page draw without a graphics card, while a stream at the detector's rate comes in? */
import { parseArgs } from 'node:util'
import type { Page } from 'playwright-core'
import { type Chromium, startChromium } from '../test/support/chromium.ts'
import { startNustream } from '../test/support/nustream.ts'
import { startRedis } from '../test/support/redis.ts'
import { startDisplay } from '../test/support/shown-stream.ts'
import { until } from '../test/support/until.ts'
import { simulatedDataSet } from './support/data-set.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '3000' },
    seconds: { type: 'string', default: '12' },
    rounds: { type: 'string', default: '3' },
  },
})
const SIZES = [
  { width: 1280, height: 720 },
  { width: 1920, height: 1080 },
]
const FRAMES_A_SECOND = 30

/** Times between frames that the page requested while it drew; pauses at rest are excluded. */
const RECORD_FRAMES = `
  const ask = requestAnimationFrame
  globalThis.frameTimes = []
  let inFrameMs
  globalThis.requestAnimationFrame = (draw) => {
    const sinceMs = inFrameMs
    return ask((nowMs) => {
      if (sinceMs !== undefined) globalThis.frameTimes.push(nowMs - sinceMs)
      inFrameMs = nowMs
      try { draw(nowMs) } finally { inFrameMs = undefined }
    })
  }`

interface Round {
  readonly firstEventMs: number
  readonly frameTimes: readonly number[]
  readonly rate: number
}

async function measure(chromium: Chromium, url: string, viewport: (typeof SIZES)[number]): Promise<Round> {
  const { page } = await chromium.open({ viewport })
  await page.addInitScript(RECORD_FRAMES)
  const startedMs = performance.now()
  await page.goto(url)
  await page.locator('.label.reconstructed').first().waitFor({ timeout: 30_000 })
  const firstEventMs = performance.now() - startedMs
  await page.waitForTimeout(2_000)
  await page.evaluate('frameTimes.length = 0')
  await page.waitForTimeout(Number(values.seconds) * 1_000)
  const frameTimes = await page.evaluate('frameTimes')
  const rate = await incomingRate(page)
  await page.context().close()
  // As the script above records them.
  return { firstEventMs, frameTimes: frameTimes as number[], rate }
}

async function incomingRate(page: Page): Promise<number> {
  return Number((await page.locator('[data-figure="Events"]').textContent())?.replaceAll(',', ''))
}

function quantile(times: readonly number[], share: number): number {
  return times.toSorted((a, b) => a - b)[Math.min(times.length - 1, Math.floor(share * times.length))]
}

await using redis = await startRedis(undefined, { args: ['--appendfsync', 'everysec'] })
const common = ['--broker', redis.url, '--port', '0', '--log-level', 'warn']
const source = ['--source', `kaggle:${await simulatedDataSet(50_000)}`, '--loop', '--rate', values.rate]
const parts = [startNustream(['consume', ...common]), startNustream(['emit', ...source, ...common])]
const display = await startDisplay(redis.url)
const chromium = await startChromium()
const rows = []
try {
  await until(async () => /"newest":\{/.test(await (await fetch(`${display.url}/api/snapshot`)).text()), {
    withinMs: 30_000,
    what: 'the first event',
  })
  for (const size of SIZES) {
    const rounds: Round[] = []
    for (let i = 0; i < Number(values.rounds); i++) rounds.push(await measure(chromium, display.url, size))
    const of = (value: (round: Round) => number) => Math.round(median(rounds.map(value)) * 10) / 10
    rows.push({
      window: `${size.width} × ${size.height}`,
      'frames/s, mean': of(
        ({ frameTimes }) => (1_000 * frameTimes.length) / frameTimes.reduce((a, b) => a + b, 0),
      ),
      'ms/frame, median': of(({ frameTimes }) => quantile(frameTimes, 0.5)),
      'ms/frame, p95': of(({ frameTimes }) => quantile(frameTimes, 0.95)),
      [`% of frames at ${FRAMES_A_SECOND}/s or faster`]: of(
        ({ frameTimes }) =>
          (100 * frameTimes.filter((ms) => ms < 1_001 / FRAMES_A_SECOND).length) / frameTimes.length,
      ),
      'first event, ms': of(({ firstEventMs }) => firstEventMs),
      'events/s coming in': of(({ rate }) => rate),
    })
  }
} finally {
  await chromium.browser.close()
  await Promise.all([display.process, ...parts].map((part) => part.kill()))
}
writeResult('display-page', {
  question:
    'frames of the page in Chromium without a graphics card (SwiftShader), emitter, Redis, consumer and display on the same machine',
  command: `npm run bench -- display-page --rate ${values.rate} --seconds ${values.seconds} --rounds ${values.rounds}`,
  parameters: {
    rate: Number(values.rate),
    secondsPerRound: Number(values.seconds),
    rounds: Number(values.rounds),
    model: 'linefit',
    data: '50,000 simulated events, looped',
  },
  rows,
})
