import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { openingAngles } from '../event/direction.ts'
import { concatEvents, type EventBatch, eventCount, pulseCount } from '../event/event-batch.ts'
import { concatDirections, type Directions } from '../inference/directions.ts'
import type { Inference, InferOptions, Inferrer } from '../inference/inferrer.ts'
import { type LocalModel, withInfer } from '../inference/network/local.ts'
import { ANGLE_BUCKETS_RAD } from '../telemetry/buckets.ts'

/** Events, and pulses of them, that may wait for the challenger; others are not compared. */
const WAITING_EVENTS_MAX = 2_048
const WAITING_PULSES_MAX = 2_000_000
/** Requests of one event each are compared as fast as large ones only where many are asked together. */
const EVENTS_TOGETHER = 256
const OUTCOMES = ['compared', 'dropped', 'failed'] as const

export type ChallengerMetrics = ReturnType<typeof challengerMetrics>

/** How a challenger compares with the champion. */
export function challengerMetrics(registry: Registry) {
  const registers = [registry]
  const events = new Counter({
    name: 'nustream_server_challenger_events_total',
    help: 'Events that the champion answered, by what the challenger made of them.',
    labelNames: ['outcome'] as const,
    registers,
  })
  for (const outcome of OUTCOMES) events.inc({ outcome }, 0)
  return {
    events,
    angle: new Histogram({
      name: 'nustream_server_challenger_angle_radians',
      help: 'Opening angle between the directions of champion and challenger, per event.',
      buckets: ANGLE_BUCKETS_RAD,
      registers,
    }),
    info: new Gauge({
      name: 'nustream_server_challenger_info',
      help: 'Always 1; its labels name the model that shadows the champion.',
      labelNames: ['model', 'version'] as const,
      registers,
    }),
  }
}

interface Shown {
  readonly batch: EventBatch
  readonly answer: Inference
}

/**
 * A model that gets the same events as the champion. Its answers are compared, counted and dropped. No request waits for
 * it: events that do not fit into its queue are not compared.
 */
export class Challenger {
  readonly #model: Inferrer
  readonly #metrics: ChallengerMetrics
  readonly #waiting: Shown[] = []
  #events = 0
  #pulses = 0
  #isAtWork = false

  /** The model stays the caller's. */
  constructor(model: Inferrer, metrics: ChallengerMetrics) {
    this.#model = model
    this.#metrics = metrics
  }

  /** The champion, whose events and answers the challenger gets as well. Requests get the champion's answers at once. */
  shadow(champion: LocalModel): LocalModel {
    const infer = async (batch: EventBatch, options?: InferOptions): Promise<Inference> => {
      const answer = await champion.infer(batch, options)
      this.#offer({ batch, answer })
      return answer
    }
    return withInfer(champion, { infer })
  }

  #offer(shown: Shown): void {
    const [events, pulses] = [eventCount(shown.batch), pulseCount(shown.batch)]
    const hasRoom = this.#events + events <= WAITING_EVENTS_MAX && this.#pulses + pulses <= WAITING_PULSES_MAX
    // A batch larger than the queue is taken when nothing waits.
    if (!hasRoom && this.#events > 0) {
      this.#metrics.events.inc({ outcome: 'dropped' }, events)
      return
    }
    this.#waiting.push(shown)
    this.#events += events
    this.#pulses += pulses
    if (!this.#isAtWork) void this.#work()
  }

  /** Asks for what waits, several batches together, until nothing does. Never throws. */
  async #work(): Promise<void> {
    this.#isAtWork = true
    while (this.#waiting.length > 0) {
      const shown = this.#take()
      const batch = concatEvents(shown.map((each) => each.batch))
      const events = eventCount(batch)
      try {
        const answer = concatDirections(shown.map((each) => each.answer))
        this.#compare(answer, await this.#model.infer(batch))
      } catch {
        this.#metrics.events.inc({ outcome: 'failed' }, events)
      }
      this.#events -= events
      this.#pulses -= pulseCount(batch)
    }
    this.#isAtWork = false
  }

  /** The batches that waited longest: one, and more up to so many events as one call answers well. */
  #take(): Shown[] {
    let [count, events] = [0, 0]
    do events += eventCount(this.#waiting[count++].batch)
    while (count < this.#waiting.length && events < EVENTS_TOGETHER)
    return this.#waiting.splice(0, count)
  }

  #compare(answer: Directions, challenged: Inference): void {
    const { events, angle, info } = this.#metrics
    info.reset()
    info.set({ model: challenged.model.name, version: challenged.model.version }, 1)
    for (const [i, apart] of openingAngles(answer, challenged).entries()) {
      // Where the champion has no direction either there is nothing to compare.
      if (Number.isNaN(answer.azimuth[i])) continue
      if (Number.isNaN(apart)) events.inc({ outcome: 'failed' })
      else {
        angle.observe(apart)
        events.inc({ outcome: 'compared' })
      }
    }
  }
}
