/**
 * Takes the pictures of the README from a run on simulated events: docs/images/display.png and display.webp.
 * `node tools/pictures.ts`, with the page built (`npm run build`), Chromium and ffmpeg installed.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Page } from 'playwright-core'
import type { DrawnEvent, EventRow, Snapshot } from '../src/display/messages.ts'
import { sensorPositions } from '../src/event/sensors.ts'
import { startChromium } from '../test/support/chromium.ts'
import { startShownStream } from '../test/support/shown-stream.ts'
import { until } from '../test/support/until.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'nano' },
    source: { type: 'string', default: 'sim:4' },
    /** Seconds that the stream runs before pictures are taken. */
    seconds: { type: 'string', default: '60' },
  },
})
const IMAGES = join(import.meta.dirname, '..', 'docs', 'images')
const BYTES_MAX = 2_000_000
const STEPS = 50
const FRAMES_A_SECOND = 10
/** Number of frames for which the complete event is shown. */
const LAST_FRAMES = 14

const { url, process: stream } = await startShownStream([
  ...['--source', values.source, '--model', values.model, '--rate', '250', '--name', 'telescope'],
])
const chromium = await startChromium()
const folder = mkdtempSync(join(tmpdir(), 'nustream-pictures-'))
try {
  mkdirSync(IMAGES, { recursive: true })
  // As on a high-resolution screen.
  const { page } = await chromium.open({ deviceScaleFactor: 1.5 })
  await page.goto(url)
  const event = await findTrack(Number(values.seconds))
  console.log(`event ${event.eventId}: ${event.pulsesTotal} pulses`)
  await page.goto(`${url}/#/event/${event.key}`)
  await page.locator(`[data-event="${event.key}"]`).waitFor()
  await page.keyboard.press('Space')
  await takeFrames(page)
  await page.screenshot({ path: join(IMAGES, 'display.png') })
  const rate = ['-framerate', String(FRAMES_A_SECOND), '-i', join(folder, '%03d.png')]
  const form = [
    '-vf',
    'scale=960:-1:flags=lanczos',
    '-c:v',
    'libwebp_anim',
    '-loop',
    '0',
    '-q:v',
    '62',
    '-compression_level',
    '6',
  ]
  execFileSync('ffmpeg', ['-y', '-loglevel', 'error', ...rate, ...form, join(IMAGES, 'display.webp')])
} finally {
  rmSync(folder, { recursive: true, force: true })
  await chromium.browser.close()
  await stream.kill()
}
for (const name of ['display.png', 'display.webp']) {
  const { size } = statSync(join(IMAGES, name))
  console.log(`docs/images/${name}: ${Math.round(size / 1_000)} kB`)
  if (size > BYTES_MAX)
    throw new Error(`${name} has ${size} bytes; a README's picture has at most ${BYTES_MAX}`)
}

/** The longest track of the run that was reconstructed well. */
async function findTrack(seconds: number): Promise<EventRow> {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
  return await until(
    async () => {
      // Types are those of the service, here and below.
      const { events } = (await (await fetch(`${url}/api/snapshot`)).json()) as Snapshot
      const good = events.filter(({ errorRad, pulsesTotal }) => {
        return errorRad !== null && errorRad < 0.1 && pulsesTotal > 150 && pulsesTotal < 1_500
      })
      const answers = await Promise.all(good.map(({ key }) => fetch(`${url}/api/events/${key}`)))
      // An event that has left the window meanwhile returns 404.
      const found = answers.filter((answer) => answer.ok)
      const drawn = (await Promise.all(found.map((answer) => answer.json()))) as DrawnEvent[]
      return drawn.toSorted((a, b) => lengthOf(b) - lengthOf(a))[0]
    },
    { withinMs: 120_000, everyMs: 1_000, what: 'a long track that was reconstructed well' },
  )
}

/** Distance travelled by the light, m: from the centre of its first fifth to that of its last. */
function lengthOf({ pulses }: DrawnEvent): number {
  const good = pulses.sensorIds.filter((_, i) => pulses.auxiliary[i] === 0)
  const share = Math.ceil(good.length / 5)
  const middle = (sensors: readonly number[]) =>
    [0, 1, 2].map(
      (axis) => sensors.reduce((sum, id) => sum + sensorPositions[3 * id + axis], 0) / sensors.length,
    )
  const [from, to] = [middle(good.slice(0, share)), middle(good.slice(-share))]
  return Math.hypot(...from.map((value, axis) => to[axis] - value))
}

async function takeFrames(page: Page): Promise<void> {
  const slider = page.getByRole('slider', { name: 'Time of the event' })
  await slider.fill('0')
  // No focus ring in a picture.
  await slider.blur()
  for (let step = 0; step < STEPS + LAST_FRAMES; step++) {
    if (step > 0) await page.keyboard.press('.')
    await page.screenshot({ path: join(folder, `${String(step).padStart(3, '0')}.png`) })
  }
}
