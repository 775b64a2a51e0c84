import type { Logger } from 'pino'
import { sleep, within } from '../async/deadline.ts'
import type {
  BatchMessage,
  Heartbeat,
  ReaderBroker,
  StoredDeadLetter,
  StoredPredictions,
} from '../broker/contract.ts'
import { decodePredictionBatch, type PredictionBatch } from '../event/prediction-wire.ts'
import { buildLineFit } from '../inference/linefit/linefit.ts'
import { Figures } from './figures.ts'
import type { DeadLetterRow, DrawnEvent, Health } from './messages.ts'
import type { DisplayMetrics } from './metrics.ts'
import { Join, roundedDirection, type SampledEvent, sampleEvents, toKappa, utcOf } from './sample.ts'
import { Newest, type SkyPoint, type View } from './view.ts'

export interface WatchOptions {
  readonly broker: ReaderBroker
  readonly view: View
  readonly metrics: DisplayMetrics
  readonly log: Logger
  readonly signal: AbortSignal
}

/** Batches of stored predictions read at the start to fill the sky map. */
const HISTORY_BATCHES = 20
/** Batches of predictions decoded per second, about 0.5 % of a core. Above this rate, figures are of a sample. */
const BATCHES_PER_SECOND = 25
const BATCHES_AT_ONCE = 100
/** Predictions are read in groups: reading several batches costs the broker as much as reading one. */
const READ_MS = 20
const REST_MS = 100
/** By then, the reads have passed the last prediction. */
const LAST_READ_MS = 2 * (READ_MS + REST_MS)
/** Pause after each sampled batch while no browser is connected, and how soon a new browser is noticed. */
const ALONE_MS = 4_000
const ALONE_LOOK_MS = 200
const SKY_EVERY_MS = 500
const STRIP_EVERY_MS = 1_000
/** Most points sent to the sky map per batch and per message. */
const SKY_OF_BATCH_MAX = 12
const SKY_OF_MESSAGE_MAX = 500
const DEAD_LETTERS_MAX = 50
/** A broker that takes longer is shown as unreachable. */
const BROKER_WITHIN_MS = 2_000

/** Reads a stream and keeps a view of it up to date. It leases no batch and delays no trimming. */
export class Watch {
  readonly #options: WatchOptions
  readonly #join = new Join()
  readonly #figures = new Figures(Date.now())
  readonly #budget = new ReadBudget(BATCHES_PER_SECOND, BATCHES_AT_ONCE)
  readonly #sky = new Newest<SkyPoint>(SKY_OF_MESSAGE_MAX)
  readonly #lineFit = buildLineFit()
  #lettersTotal = -1
  #asking: Promise<void> | undefined

  constructor(options: WatchOptions) {
    this.#options = options
  }

  /**
   * Runs until the signal aborts. While the broker is unreachable, it waits and shows the broker as unreachable.
   * @throws the broker's error when it cannot be used at all
   */
  async run(): Promise<void> {
    const stop = new AbortController()
    const signal = AbortSignal.any([stop.signal, this.#options.signal])
    const timers = [
      setInterval(() => this.#sendSky(), SKY_EVERY_MS),
      setInterval(() => void (this.#asking ?? this.look()), STRIP_EVERY_MS),
    ]
    try {
      await this.look()
      await Promise.all([this.#samples(signal), this.#predictions(signal)])
    } finally {
      stop.abort()
      for (const timer of timers) clearInterval(timer)
    }
  }

  /** Reads the current counts and sends the strip. Never throws. */
  async look(): Promise<void> {
    await this.#asking
    this.#asking ??= this.#look().finally(() => {
      this.#asking = undefined
    })
    await this.#asking
    this.#sendSky()
  }

  /** Sends the last figures of a drained stream, after its predictions have been read. Never throws. */
  async lastLook(): Promise<void> {
    await sleep(LAST_READ_MS, this.#options.signal)
    await this.look()
  }

  async #samples(signal: AbortSignal): Promise<void> {
    const { broker, view } = this.#options
    for await (const message of broker.samples({ everyMs: view.settings.sampleEveryMs, signal })) {
      if (!this.#join.isFull(performance.now())) this.#sample(message)
      await this.#restWhileNobodyLooks(signal)
    }
  }

  #sample(message: BatchMessage): void {
    const { batchId } = message
    const before = this.#join.addSample(batchId, this.#sampled(message), performance.now())
    const predictions = before && this.#decoded(before)
    // Their batch may have been sent to the sky map before they were chosen for drawing.
    if (predictions) this.#sky.add(...this.#draw(batchId, predictions).map(toSkyPoint))
  }

  /** While no browser is connected, a rare sample is enough; sampling resumes at once when one connects. */
  async #restWhileNobodyLooks(signal: AbortSignal): Promise<void> {
    for (let restedMs = 0; restedMs < ALONE_MS && !signal.aborted; restedMs += ALONE_LOOK_MS) {
      if (this.#options.view.isLookedAt) return
      await sleep(ALONE_LOOK_MS, signal)
    }
  }

  async #predictions(signal: AbortSignal): Promise<void> {
    const { broker, metrics } = this.#options
    let readUntilMs = performance.now() + READ_MS
    for await (const stored of broker.predictions({ last: HISTORY_BATCHES, signal })) {
      if (performance.now() > readUntilMs) {
        await sleep(REST_MS, signal)
        readUntilMs = performance.now() + READ_MS
      }
      this.#join.addPredictions(stored)
      if (!this.#budget.take(performance.now()) && !this.#join.isWaitingFor(stored.batchId)) {
        metrics.batches.inc({ outcome: 'skipped' })
        this.#figures.addSkipped()
        continue
      }
      metrics.batches.inc({ outcome: 'read' })
      const predictions = this.#decoded(stored)
      if (!predictions) continue
      this.#figures.add(predictions, Date.now())
      const drawn = this.#draw(stored.batchId, predictions)
      this.#sky.add(...skyPoints(predictions, drawn))
    }
  }

  #sampled(message: BatchMessage): SampledEvent[] {
    const { view, metrics } = this.#options
    const { pulsesMax } = view.settings
    try {
      return sampleEvents(message, { pulsesMax, lineFit: this.#lineFit, random: Math.random })
    } catch {
      // The consumer reports the fault in a dead letter.
      metrics.unreadable.inc()
      return []
    }
  }

  #decoded({ payload, batchId }: StoredPredictions): PredictionBatch | undefined {
    try {
      return decodePredictionBatch(payload)
    } catch (err) {
      this.#options.metrics.unreadable.inc()
      this.#options.log.debug({ err, batchId }, 'predictions not shown')
      return undefined
    }
  }

  #draw(batchId: string, predictions: PredictionBatch): DrawnEvent[] {
    const drawn = this.#join.take(batchId, predictions)
    for (const event of drawn) this.#options.view.addEvent(event)
    this.#options.metrics.drawnEvents.inc(drawn.length)
    return drawn
  }

  #sendSky(): void {
    this.#options.view.addSky(this.#sky.take())
  }

  async #look(): Promise<void> {
    const { broker, view, log } = this.#options
    try {
      await within(() => broker.ping(), BROKER_WITHIN_MS)
      const asked = () => Promise.all([broker.totals(), broker.backlog(), broker.heartbeats()])
      const [totals, backlog, beats] = await within(asked, BROKER_WITHIN_MS)
      const atMs = Date.now()
      view.setHealth(toHealth(beats, atMs))
      view.addStrip(this.#figures.strip(totals, backlog, atMs))
      await this.#askForDeadLetters(totals.deadLettered)
    } catch (err) {
      log.debug({ err }, 'broker did not answer')
      view.setBrokerDown(Date.now())
    }
  }

  /** The list is read only when the count has changed: letters carry their events. */
  async #askForDeadLetters(total: number): Promise<void> {
    if (total === this.#lettersTotal) return
    const { broker, view } = this.#options
    const letters = await within(() => broker.deadLetters({ limit: DEAD_LETTERS_MAX }), BROKER_WITHIN_MS)
    this.#lettersTotal = total
    view.setDeadLetters({ newest: letters.map(toDeadLetterRow) })
  }
}

function toHealth(beats: readonly Heartbeat[], atMs: number): Health {
  const parts = beats
    .map(({ role, instance, beatAtMs, everyMs, alive }) => {
      return { role, instance, beatAtMs, everyMs, alive, ageMs: Math.max(0, atMs - beatAtMs) }
    })
    .sort((a, b) => a.role.localeCompare(b.role) || a.instance.localeCompare(b.instance))
  return { atMs, brokerUp: true, parts }
}

function toDeadLetterRow(letter: StoredDeadLetter): DeadLetterRow {
  const { id, batchId, eventId, code, message, attempts, events, diedAtMs } = letter
  return { id, batchId, eventId: eventId?.toString() ?? null, code, message, attempts, events, diedAtMs }
}

function toSkyPoint({ prediction, predictedAtMs, key, utcMs }: DrawnEvent): SkyPoint {
  const { azimuth, zenith, kappa } = prediction
  return { azimuth, zenith, kappa, predictedAtMs, key, ...(utcMs !== undefined && { utcMs }) }
}

/** Evenly spaced events of a batch, and the drawn ones. */
function skyPoints(predictions: PredictionBatch, drawn: readonly DrawnEvent[]): SkyPoint[] {
  const { eventIds, azimuth, zenith, kappa, origin } = predictions
  const drawnIds = new Set(drawn.map((event) => event.eventId))
  const step = Math.max(1, Math.ceil(eventIds.length / SKY_OF_BATCH_MAX))
  const points = drawn.map(toSkyPoint)
  for (let row = 0; row < eventIds.length; row += step) {
    if (drawnIds.has(eventIds[row].toString())) continue
    points.push({
      ...roundedDirection({ azimuth: azimuth[row], zenith: zenith[row] }),
      kappa: toKappa(kappa[row]),
      predictedAtMs: Math.round(origin.predictedAtMs),
      key: null,
      ...utcOf(predictions, row),
    })
  }
  return points
}

/** A token bucket: a rate per second, and up to `burst` at once after a pause. */
export class ReadBudget {
  readonly #perSecond: number
  readonly #burst: number
  #left: number
  #atMs: number | undefined

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#left = burst
  }

  /** True if the budget allows one more, which it then deducts. */
  take(nowMs: number): boolean {
    const gained = ((nowMs - (this.#atMs ?? nowMs)) / 1000) * this.#perSecond
    this.#left = Math.min(this.#burst, this.#left + gained)
    this.#atMs = nowMs
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}
