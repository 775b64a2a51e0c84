import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { openingAngles } from '../event/direction.ts'
import { type EventBatch, eventCount, pulseCount } from '../event/event-batch.ts'
import type { Inference, InferOptions, Inferrer } from '../inference/inferrer.ts'
import { type LocalModel, withInfer } from '../inference/network/local.ts'
import { ANGLE_BUCKETS_RAD } from '../telemetry/buckets.ts'

/** Events, and pulses of them, that may wait for the challenger; what comes beyond is not shown to it. */
const WAITING_EVENTS_MAX = 2_048
const WAITING_PULSES_MAX = 2_000_000
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
 * A model that is asked the same events as the champion, behind its back: its answers are compared, counted and thrown
 * away. Nobody waits for it: what it has no room for it is not shown.
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

  /** The champion with the challenger looking on: answers are the champion's, as soon as it has them. */
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
    // One that is larger than all the room is taken where nothing waits.
    if (!hasRoom && this.#events > 0) {
      this.#metrics.events.inc({ outcome: 'dropped' }, events)
      return
    }
    this.#waiting.push(shown)
    this.#events += events
    this.#pulses += pulses
    if (!this.#isAtWork) void this.#work()
  }

  /** One batch after the other until none waits. Never throws. */
  async #work(): Promise<void> {
    this.#isAtWork = true
    for (let shown = this.#waiting.shift(); shown; shown = this.#waiting.shift()) {
      const events = eventCount(shown.batch)
      try {
        this.#compare(shown, await this.#model.infer(shown.batch))
      } catch {
        this.#metrics.events.inc({ outcome: 'failed' }, events)
      }
      this.#events -= events
      this.#pulses -= pulseCount(shown.batch)
    }
    this.#isAtWork = false
  }

  #compare({ answer }: Shown, challenged: Inference): void {
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
