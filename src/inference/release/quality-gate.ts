import { openingAngles } from '../../event/direction.ts'
import { type EventBatch, eventCount, selectEvents } from '../../event/event-batch.ts'
import type { Inference, Inferrer } from '../inferrer.ts'

/** What is compared between a new release and the one before, on the same events. */
export const GATE_CHECKS = ['angle', 'error', 'degenerate', 'kappa'] as const
export type GateCheck = (typeof GATE_CHECKS)[number]

/** How far a new release may be from the one before. */
export interface GateLimits {
  /** Median angle between the directions of the two, rad. Not looked at where truth is known of most events. */
  readonly angle: number
  /** Mean angular error ÷ that of the release before, where truth is known. */
  readonly error: number
  /** Share of events that the new release marks as degenerate and the one before does not, less the reverse. */
  readonly degenerate: number
  /** Factor between the two in kappa, up or down, in the median of the events. */
  readonly kappa: number
}

/** Directions at random are 1.57 rad apart in the median; the line fit and nano are 0.83 rad apart. */
export const GATE_DEFAULTS: GateLimits = { angle: 1.2, error: 1.25, degenerate: 0.25, kappa: 10 }

export interface QualityGateOptions {
  readonly limits: GateLimits
  readonly previous: Inferrer
  /** Called after each comparison. */
  readonly onMeasured?: (values: Readonly<Record<GateCheck, number>>) => void
  /** The new release is beyond a limit. Called once. */
  readonly onFailure: (check: GateCheck, reason: string) => void
}

/** Fewer events give no verdict. */
const EVENTS_MIN = 200
/** The comparison ends after this many events. */
const EVENTS_MAX = 2_000
/** Events of one batch that are compared, to keep the load on the release before low. */
const EVENTS_PER_COMPARISON = 64
const COMPARE_EVERY_MS = 100
/** A larger error counts only when it exceeds this many standard errors. */
const SIGMAS = 4

/**
 * Compares the answers of a new release with those of the one before, on a sample of the events that it answers: a
 * release that passes its own fixture may still answer wrongly, such as one whose axes were exchanged before the fixture
 * was made. It does not delay requests, and ignores comparisons that fail.
 */
export class QualityGate {
  readonly #options: QualityGateOptions
  readonly #angles: number[] = []
  readonly #logKappaRatios: number[] = []
  /** Angular errors with truth, rad, event by event. */
  readonly #errors = { next: [] as number[], previous: [] as number[] }
  #events = 0
  #degenerate = 0
  #isBusy = false
  #isOver = false
  #comparedAt = Number.NEGATIVE_INFINITY

  constructor(options: QualityGateOptions) {
    this.#options = options
  }

  /** Compares some events of a batch that the new release has answered. Returns at once; never throws. */
  offer(batch: EventBatch, answer: Inference): void {
    const now = performance.now()
    if (this.#isOver || this.#isBusy || now - this.#comparedAt < COMPARE_EVERY_MS) return
    this.#isBusy = true
    this.#comparedAt = now
    void this.#compare(batch, answer)
      .catch(() => {})
      .finally(() => {
        this.#isBusy = false
      })
  }

  /** Nothing is compared from now on. */
  close(): void {
    this.#isOver = true
  }

  async #compare(batch: EventBatch, answer: Inference): Promise<void> {
    const faulty = new Set(answer.faults.map(({ index }) => index))
    const picked = Array.from({ length: eventCount(batch) }, (_, i) => i)
      .filter((i) => !faulty.has(i))
      .slice(0, EVENTS_PER_COMPARISON)
    if (picked.length === 0) return
    const events = selectEvents(batch, Int32Array.from(picked))
    const before = await this.#options.previous.infer(events)
    if (this.#isOver) return
    this.#add(events, pick(answer, picked), before)
    this.#judge()
    if (this.#events >= EVENTS_MAX) this.close()
  }

  #add(events: EventBatch, next: Picked, previous: Inference): void {
    const faulty = new Set(previous.faults.map(({ index }) => index))
    const apart = openingAngles(next, previous)
    const errors = events.truth && {
      next: openingAngles(next, events.truth),
      previous: openingAngles(previous, events.truth),
    }
    for (let i = 0; i < apart.length; i++) {
      if (faulty.has(i)) continue
      this.#events++
      this.#degenerate += next.degenerate[i] - previous.degenerate[i]
      if (next.degenerate[i] + previous.degenerate[i] === 0) this.#angles.push(apart[i])
      const ratio = Math.log(next.kappa[i] / previous.kappa[i])
      if (Number.isFinite(ratio)) this.#logKappaRatios.push(ratio)
      if (errors === undefined || Number.isNaN(errors.next[i])) continue
      this.#errors.next.push(errors.next[i])
      this.#errors.previous.push(errors.previous[i])
    }
  }

  #judge(): void {
    const { limits, onMeasured, onFailure } = this.#options
    const { next, previous } = this.#errors
    const knowsTruth = 2 * next.length > this.#events
    const values = {
      angle: median(this.#angles),
      error: mean(next) / mean(previous),
      degenerate: this.#degenerate / this.#events,
      kappa: Math.exp(Math.abs(median(this.#logKappaRatios))),
    }
    onMeasured?.(values)
    const isBeyond = {
      angle: !knowsTruth && this.#angles.length >= EVENTS_MIN && values.angle > limits.angle,
      error: next.length >= EVENTS_MIN && values.error > limits.error && isWorse(next, previous),
      degenerate: this.#events >= EVENTS_MIN && values.degenerate > limits.degenerate,
      kappa: this.#logKappaRatios.length >= EVENTS_MIN && values.kappa > limits.kappa,
    }
    const check = GATE_CHECKS.find((name) => isBeyond[name])
    if (check === undefined) return
    this.close()
    const shown = `${MEANINGS[check]} is ${values[check].toFixed(3)}, allowed ${limits[check]}`
    onFailure(check, `on ${this.#events} events that both answered, ${shown}`)
  }
}

const MEANINGS: Readonly<Record<GateCheck, string>> = {
  angle: 'the median angle to the release before (rad)',
  error: 'the mean angular error ÷ that of the release before',
  degenerate: 'the share of events that are degenerate for it and were not before',
  kappa: 'the factor between its kappa and that of the release before',
}

type Picked = Pick<Inference, 'azimuth' | 'zenith' | 'kappa' | 'degenerate'>

function pick({ azimuth, zenith, kappa, degenerate }: Inference, events: readonly number[]): Picked {
  const of = (column: Float64Array) => Float64Array.from(events, (event) => column[event])
  return {
    azimuth: of(azimuth),
    zenith: of(zenith),
    kappa: of(kappa),
    degenerate: Uint8Array.from(events, (event) => degenerate[event]),
  }
}

function median(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : values.toSorted((a, b) => a - b)[values.length >> 1]
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Whether errors of the same events are larger than chance explains. */
function isWorse(next: readonly number[], previous: readonly number[]): boolean {
  const differences = next.map((error, i) => error - previous[i])
  const average = mean(differences)
  const variance = mean(differences.map((difference) => (difference - average) ** 2))
  return average > SIGMAS * Math.sqrt(variance / differences.length)
}
