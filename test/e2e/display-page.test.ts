import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Locator, Page } from 'playwright-core'
import { beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { exampleCascade, exampleEvent, exampleTrack } from '../../web/src/example-events.ts'
import { skyProjection, toLonLat } from '../../web/src/sky.ts'
import { type Chromium, startChromium } from '../support/chromium.ts'
import { centre, elongation, pixelsLike, readPicture } from '../support/picture.ts'
import {
  placeInSky,
  type StagedDisplay,
  type StagedOptions,
  stagedStrip,
  stageEverything,
  startStagedDisplay,
} from '../support/staged-display.ts'
import { until } from '../support/until.ts'

const PICTURES = join(process.cwd(), '.tools', 'display')
const DIRECTION = { azimuth: 0.6, zenith: 1.2, kappa: 120 }
const TRACK = {
  ...exampleTrack(DIRECTION),
  key: '101~track',
  eventId: '101',
  truth: { azimuth: 0.7, zenith: 1.3 },
}
const ONE_PULSE = {
  ...exampleEvent({ hits: [{ id: 2_500, timeNs: 10_000, charge: 0.4 }] }),
  key: '104~one',
  eventId: '104',
}
const CASCADE = { ...exampleCascade([30, 60, -180]), key: '102~cascade', eventId: '102' }
/** `stageEverything` gives the last points of the sky to the events. */
const CASCADE_IN_SKY = 399
const AXE = readFileSync('node_modules/axe-core/axe.min.js', 'utf8')

let chromium: Chromium

beforeAll(async () => {
  mkdirSync(PICTURES, { recursive: true })
  chromium = await startChromium()
  return () => chromium.browser.close()
})

interface Opened {
  readonly stage: StagedDisplay
  readonly page: Page
  readonly faults: readonly string[]
}

async function open(
  t: TestContext,
  { hash = '', context = {}, ...options }: StagedOptions & { hash?: string; context?: object } = {},
): Promise<Opened> {
  const stage = await startStagedDisplay(t, options)
  stageEverything(stage, [TRACK, CASCADE])
  const { page, faults } = await chromium.open(context)
  t.onTestFinished(() => page.context().close())
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', (event) => console.error('CSP', event.violatedDirective, event.blockedURI))",
  )
  await page.goto(`${stage.url}/${hash}`)
  return { stage, page, faults }
}

async function textOf(locator: Locator): Promise<string> {
  return (await locator.textContent()) ?? ''
}

function shownEvent(page: Page): Promise<string | null> {
  return page.locator('[data-event]').getAttribute('data-event', { timeout: 20_000 })
}

async function untilShown(page: Page, key: string): Promise<void> {
  await page.locator(`[data-event="${key}"]`).waitFor({ timeout: 20_000 })
}

/** Waits until the event has played to its end. */
async function untilPlayed(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Play', exact: true }).waitFor({ timeout: 30_000 })
}

/** Pixels of measured light in the picture of the detector: warm and bright, as nothing else there is. */
async function lightOf(page: Page, name: string) {
  const png = await page.locator('.scene-box').screenshot({ path: join(PICTURES, `${name}.png`) })
  const picture = await readPicture(chromium.browser, png)
  const early = pixelsLike(picture, (red, green, blue) => red > 170 && green > 120 && blue < 0.72 * red)
  const late = pixelsLike(picture, (red, green, blue) => blue > 90 && blue > 1.25 * green && red > 0.5 * blue)
  return { early, late, all: [...early, ...late] }
}

async function axeFindings(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  const found: unknown = await page.evaluate('axe.run()')
  // As axe-core documents its results.
  const { violations } = found as { violations: { id: string; impact: string; nodes: { html: string }[] }[] }
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
}

describe('an event on the page', () => {
  it('is told as track or cascade by its shape, and its arrow points the way the pulses move', async (t) => {
    const { page } = await open(t, { hash: '#/event/101~track' })
    await untilShown(page, TRACK.key)
    await untilPlayed(page)
    const track = await lightOf(page, 'track')
    const label = await page.locator('.label.reconstructed').boundingBox()
    const box = await page.locator('.scene-box').boundingBox()
    await page.goto(page.url().replace(/#.*/, '#/event/102~cascade'))
    await untilShown(page, CASCADE.key)
    await untilPlayed(page)
    const cascade = await lightOf(page, 'cascade')

    expect(track.all.length).toBeGreaterThan(300)
    expect(cascade.all.length).toBeGreaterThan(300)
    expect(elongation(track.all)).toBeGreaterThan(3)
    expect(elongation(cascade.all)).toBeLessThan(2)

    const [fromX, fromY] = centre(track.early)
    const [toX, toY] = centre(track.late)
    const [headX, headY] = [(label?.x ?? 0) - (box?.x ?? 0), (label?.y ?? 0) - (box?.y ?? 0)]
    const along = (toX - fromX) * (headX - fromX) + (toY - fromY) * (headY - fromY)
    const cosine = along / Math.hypot(toX - fromX, toY - fromY) / Math.hypot(headX - fromX, headY - fromY)
    expect(cosine).toBeGreaterThan(0.8)
  })

  it('opens by its address, plays, and is one among the newest when it is unknown', async (t) => {
    const { page, faults } = await open(t, { hash: '#/event/101~track' })
    await untilShown(page, TRACK.key)
    expect(await page.getByRole('button', { name: 'Follow' }).getAttribute('aria-pressed')).toBe('false')
    expect(faults).toEqual([])
    await page.goto(page.url().replace(/#.*/, '#/event/999~none'))
    await page.locator('.notice', { hasText: 'not among the last 500' }).waitFor()
    expect(new URL(page.url()).hash).toBe('')
    expect(await page.getByRole('button', { name: 'Follow' }).getAttribute('aria-pressed')).toBe('true')
  })

  it('is chosen in the table or on the sky, and has an address then', async (t) => {
    const { page } = await open(t)
    await untilShown(page, CASCADE.key)
    await page.getByRole('link', { name: '101' }).click()
    await untilShown(page, TRACK.key)
    expect(new URL(page.url()).hash).toBe('#/event/101~track')
    expect(await textOf(page.locator('tr.is-shown'))).toContain('101')
    await page.locator('tr', { hasText: '102' }).click()
    await untilShown(page, CASCADE.key)
    await page.goBack()
    await untilShown(page, TRACK.key)

    const map = page.locator('.sky canvas')
    const box = await map.boundingBox()
    if (!box) throw new Error('the sky map has no size')
    const [x, y] = skyProjection(box.width, box.height, 'detector')(toLonLat(placeInSky(CASCADE_IN_SKY))) ?? [
      0, 0,
    ]
    await map.click({ position: { x, y } })
    await untilShown(page, CASCADE.key)
  })

  it('is followed by the next one only while it is followed and not paused', async (t) => {
    const { page, stage } = await open(t)
    await untilShown(page, CASCADE.key)
    await page.keyboard.press('Space')
    const next = { ...TRACK, key: '103~next', eventId: '103', predictedAtMs: Date.now() }
    stage.view.addEvent(next)
    await page.getByRole('link', { name: '103' }).waitFor()
    const position = () => page.getByRole('slider', { name: 'Time of the event' }).inputValue()
    const before = await position()
    for (const key of ['.', '.', '.']) await page.keyboard.press(key)
    await until(async () => Number(await position()) === Number(before) + 3)
    await page.keyboard.press(',')
    await until(async () => Number(await position()) === Number(before) + 2)
    expect(await shownEvent(page)).toBe(CASCADE.key)
    await page.keyboard.press('f')
    await untilShown(page, next.key)
  })

  it('of a single faint pulse shows it', async (t) => {
    const { page, stage } = await open(t, { context: { reducedMotion: 'reduce' } })
    stage.view.addEvent(ONE_PULSE)
    await page.goto(`${stage.url}/#/event/104~one`)
    await untilShown(page, ONE_PULSE.key)
    await untilPlayed(page)
    expect((await lightOf(page, 'one-pulse')).early.length).toBeGreaterThan(4)
    expect(await textOf(page.locator('.facts'))).toContain('in 1 pulse')
  })

  it('has words that lie neither on one another nor on the facts, and a free head of its arrow', async (t) => {
    const { page, stage } = await open(t, { context: { reducedMotion: 'reduce' } })
    const lineFit = { azimuth: 0.62, zenith: 1.1 }
    const reference = { azimuth: 0.5, zenith: 1.25 }
    stage.view.addEvent({ ...TRACK, key: '105~fit', eventId: '105', lineFit, reference })
    await page.goto(`${stage.url}/#/event/105~fit`)
    await untilShown(page, '105~fit')
    await untilPlayed(page)
    const words = await page.locator('.label:not(.depth), .facts, .legend').all()
    const boxes = await Promise.all(words.map((word) => word.boundingBox()))
    expect(boxes).toHaveLength(6)
    for (const [i, a] of boxes.entries())
      for (const b of boxes.slice(i + 1)) {
        if (!a || !b) throw new Error('a word has no place')
        const isApart =
          a.x + a.width <= b.x + 1 ||
          b.x + b.width <= a.x + 1 ||
          a.y + a.height <= b.y + 1 ||
          b.y + b.height <= a.y + 1
        expect(isApart, JSON.stringify([a, b])).toBe(true)
      }
  })

  it('is played faster and slower', async (t) => {
    const { page } = await open(t)
    await untilShown(page, CASCADE.key)
    await page.keyboard.press(']')
    expect(await textOf(page.getByLabel('Speed'))).toBe('2 ×')
    for (const _ of [1, 2]) await page.keyboard.press('[')
    expect(await textOf(page.getByLabel('Speed'))).toBe('1/2 ×')
  })
})

describe('the page', () => {
  it('shows figures, health and dead letters as the service sends them', async (t) => {
    const { page, stage, faults } = await open(t)
    await untilShown(page, CASCADE.key)
    expect(await textOf(page.locator('[data-account="predicted"]'))).toBe('89,997')
    expect(await textOf(page.locator('[data-figure="Events"]'))).toBe('3,012')
    expect(await textOf(page.locator('[data-figure="Lag"]'))).toBe('240')
    expect(await textOf(page.locator('[data-figure="Latency"]'))).toMatch(/^61\s?ms$/)
    expect(await textOf(page.locator('[data-figure="Mean angular error"]'))).toBe('0.612')
    const silent = page.locator('.health .is-silent')
    expect(await textOf(silent)).toMatch(/consumer[\s\S]*cube2-2[\s\S]*silent[\s\S]*3\d\s?s/)
    expect(await textOf(page.locator('.sky'))).toContain('detector coordinates')

    await page.getByRole('tab', { name: /Dead letters/ }).click()
    const letters = await textOf(page.getByRole('tabpanel'))
    expect(letters).toMatch(/81733[\s\S]*sensor_unknown\s*event 81733 has sensor 5921/)
    expect(letters).toMatch(/batch of 2[\s\S]*batch_unreadable/)

    const account = { emitted: 90_300, predicted: 90_297, deadLettered: 3, waiting: 0 }
    stage.view.addStrip(stagedStrip(Date.now() + 1_000, { account, eventsPerSecond: 17 }))
    await page.locator('[data-figure="Events"]', { hasText: '17' }).waitFor()
    expect(await textOf(page.locator('[data-account="predicted"]'))).toBe('90,297')
    expect(await textOf(page.locator('.strips'))).not.toContain('of a sample')
    const watched = { latencyMs: null, meanAngularErrorRad: null, predictions: 5, skippedBatches: 2 }
    stage.view.addStrip(stagedStrip(Date.now() + 2_000, { watched }))
    await page.locator('.strips', { hasText: 'of a sample' }).waitFor()
    stage.view.setBrokerDown(Date.now())
    await page.locator('.connection', { hasText: 'the broker does not answer' }).waitFor()
    expect(faults).toEqual([])
  })

  it('labels the sky as equatorial when the stream carries UTC', async (t) => {
    const stage = await startStagedDisplay(t)
    const { page } = await chromium.open()
    t.onTestFinished(() => page.context().close())
    const utcMs = Date.UTC(2026, 2, 1)
    const point = { azimuth: 1, zenith: 1, kappa: 10, predictedAtMs: 1, key: null }
    stage.view.addSky([{ ...point, utcMs }])
    await page.goto(stage.url)
    await page.locator('.sky', { hasText: 'equatorial coordinates' }).waitFor()
    stage.view.addSky([point])
    await page.locator('.sky', { hasText: 'detector coordinates' }).waitFor()
  })

  it('asks for the token where one is set', async (t) => {
    const { page } = await open(t, { token: 'right' })
    await page.getByLabel('Ask the person who runs nustream').fill('wrong')
    await page.getByRole('button', { name: 'Open' }).click()
    await page.getByText('the token is not valid').waitFor()
    expect(await axeFindings(page)).toEqual([])
    await page.getByLabel('Ask the person who runs nustream').fill('right')
    await page.getByRole('button', { name: 'Open' }).click()
    await untilShown(page, CASCADE.key)
  })

  it('is worked with the keyboard alone', async (t) => {
    const { page } = await open(t)
    await untilShown(page, CASCADE.key)
    const picture = () => page.locator('.scene-box').screenshot()
    await page.keyboard.press('Space')
    const before = await picture()
    for (const key of ['ArrowLeft', 'ArrowUp', '+']) await page.keyboard.press(key)
    await until(async () => !(await picture()).equals(before), { what: 'another view' })
    await page.keyboard.press('r')
    await page.keyboard.press('j')
    await untilShown(page, TRACK.key)
    await page.keyboard.press('k')
    await untilShown(page, CASCADE.key)
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    await page.getByRole('tab', { name: 'Recent events' }).focus()
    await page.keyboard.press('ArrowRight')
    expect(await page.getByRole('tab', { name: /Dead letters/ }).getAttribute('aria-selected')).toBe('true')
  })

  it('shows the whole event at once where motion is reduced', async (t) => {
    const { page } = await open(t, { hash: '#/event/101~track', context: { reducedMotion: 'reduce' } })
    await untilShown(page, TRACK.key)
    const slider = page.getByRole('slider', { name: 'Time of the event' })
    await until(async () => (await slider.inputValue()) === '50', { withinMs: 1_500 })
  })

  it('draws no frames while nothing moves', async (t) => {
    const { page } = await open(t)
    await page.addInitScript(`
      const ask = requestAnimationFrame
      globalThis.framesAsked = 0
      globalThis.requestAnimationFrame = (draw) => { globalThis.framesAsked++; return ask(draw) }`)
    await page.reload()
    await untilShown(page, CASCADE.key)
    await page.keyboard.press('Space')
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const before = Number(await page.evaluate('framesAsked'))
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(Number(await page.evaluate('framesAsked')) - before).toBeLessThan(3)
  })

  it.each([
    { width: 1280, height: 720 },
    { width: 1920, height: 1080 },
  ])('has no serious finding of axe-core, and no fault, at $width × $height', async (viewport) => {
    const owner: (() => unknown)[] = []
    const stage = await startStagedDisplay({ onTestFinished: (end) => void owner.push(end) })
    stageEverything(stage, [CASCADE, TRACK])
    const { page, faults } = await chromium.open({ viewport })
    await page.goto(`${stage.url}/#/event/101~track`)
    await untilShown(page, TRACK.key)
    await untilPlayed(page)
    await page.screenshot({ path: join(PICTURES, `staged-${viewport.width}x${viewport.height}.png`) })
    expect(await axeFindings(page)).toEqual([])
    await page.getByRole('tab', { name: /Dead letters/ }).click()
    expect(await axeFindings(page)).toEqual([])
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    expect(await axeFindings(page)).toEqual([])
    expect(faults).toEqual([])
    await page.context().close()
    for (const end of owner) await end()
  })
})
