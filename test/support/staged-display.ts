import { Registry } from 'prom-client'
import { Browsers } from '../../src/display/browsers.ts'
import type { DisplaySettings, DrawnEvent, Strip } from '../../src/display/messages.ts'
import { displayMetrics } from '../../src/display/metrics.ts'
import { buildDisplayServer } from '../../src/display/server.ts'
import { View } from '../../src/display/view.ts'
import { listen } from '../../src/telemetry/listen.ts'
import { SILENT } from './consuming.ts'
import type { Owner } from './redis.ts'

export interface StagedDisplay {
  readonly url: string
  readonly port: number
  /** The data that the page shows; the test sets them. */
  readonly view: View
  close(): Promise<void>
}

export interface StagedOptions {
  readonly token?: string
  readonly port?: number
  readonly settings?: Partial<DisplaySettings>
}

const SETTINGS: DisplaySettings = {
  version: '0.0.0',
  eventsMax: 500,
  skyMax: 5_000,
  stripsMax: 600,
  pulsesMax: 1_500,
  sampleEveryMs: 1_000,
}

/** The page and its service without a stream: the test sets the data. */
export async function startStagedDisplay(owner: Owner, options: StagedOptions = {}): Promise<StagedDisplay> {
  const registry = new Registry()
  const browsers = new Browsers(displayMetrics(registry), 100)
  const view = new View({ ...SETTINGS, ...options.settings }, browsers)
  const health = () => ({ live: true, ready: true, details: {} })
  const { token } = options
  const app = buildDisplayServer({ view, browsers, registry, health, log: SILENT, token })
  const { url, port } = await listen(app, { port: options.port ?? 0 })
  owner.onTestFinished(() => app.close())
  return { url, port, view, close: () => app.close() }
}

/** Figures of a healthy stream. */
export function stagedStrip(atMs: number, changes: Partial<Strip> = {}): Strip {
  return {
    atMs,
    eventsPerSecond: 3_012,
    emittedPerSecond: 3_004,
    lag: { events: 240, batches: 1, oldestAgeMs: 60 },
    latencyMs: { p50: 61, p99: 148 },
    meanAngularErrorRad: 0.612,
    account: { emitted: 90_240, predicted: 89_997, deadLettered: 3, waiting: 240 },
    watched: {
      latencyMs: { p50: 60, p99: 150 },
      meanAngularErrorRad: 0.618,
      predictions: 89_997,
      skippedBatches: 0,
    },
    ...changes,
  }
}

const SKY_POINTS = 400

/** Directions spread evenly over the sphere (Fibonacci's lattice). */
export function placeInSky(i: number): { azimuth: number; zenith: number } {
  return { azimuth: (i * 2.399963) % (2 * Math.PI), zenith: Math.acos(1 - (2 * (i + 0.5)) / SKY_POINTS) }
}

/** A page with data in every panel. */
export function stageEverything({ view }: StagedDisplay, events: readonly DrawnEvent[]): void {
  const atMs = Date.now()
  for (let second = 120; second >= 0; second--) view.addStrip(stagedStrip(atMs - 1_000 * second))
  for (const event of events) view.addEvent({ ...event, emittedAtMs: atMs - 80, predictedAtMs: atMs })
  view.addSky(
    Array.from({ length: SKY_POINTS }, (_, i) => ({
      ...placeInSky(i),
      kappa: 10 + (i % 7) * 60,
      predictedAtMs: atMs,
      key: events[i - (SKY_POINTS - events.length)]?.key ?? null,
    })),
  )
  const part = (role: string, instance: string, ageMs: number) => {
    return { role, instance, beatAtMs: atMs - ageMs, ageMs, everyMs: 5_000, alive: ageMs < 15_000 }
  }
  const parts = [
    part('consumer', 'cube2-1', 800),
    part('consumer', 'cube2-2', 31_000),
    part('emitter', 'cube1-7', 90),
  ]
  view.setHealth({ atMs, brokerUp: true, parts })
  const letter = { batchId: 'b', attempts: 1, events: 1, diedAtMs: atMs - 40_000 }
  view.setDeadLetters({
    newest: [
      {
        ...letter,
        id: '2',
        eventId: '81733',
        code: 'sensor_unknown',
        message: 'event 81733 has sensor 5921',
      },
      {
        ...letter,
        id: '1',
        eventId: null,
        code: 'batch_unreadable',
        message: 'not an Arrow stream',
        events: 2,
      },
    ],
  })
}
