import { createHash } from 'node:crypto'
import type { BatchMessage, StoredPredictions } from '../broker/contract.ts'
import { angularDistance, type DirectionColumns, fromSourceVector } from '../event/direction.ts'
import { type EventBatch, eventCount, toUnixMs } from '../event/event-batch.ts'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import { SENSOR_COUNT } from '../event/sensors.ts'
import { decodeEvents } from '../event/wire.ts'
import type { LineFit } from '../inference/linefit/linefit.ts'
import type { DirectionRad, DrawnEvent, DrawnPrediction, DrawnPulses } from './messages.ts'

/** A sampled event that waits for its prediction. */
export type SampledEvent = Omit<
  DrawnEvent,
  'prediction' | 'errorRad' | 'emittedAtMs' | 'predictedAtMs' | 'utcMs'
> & { readonly id: bigint }

export interface SampleChoice {
  readonly pulsesMax: number
  readonly lineFit: (batch: EventBatch, event: number) => LineFit
  /** A number from 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number
}

/** Events drawn per batch. */
const AT_RANDOM = 2

/**
 * Valid events of a batch: two at random, and last the one with the most pulses, which shows more than a typical event.
 * Fewer if the batch has fewer.
 * @throws EventError if the batch cannot be decoded
 */
export function sampleEvents({ batchId, payload }: BatchMessage, choice: SampleChoice): SampledEvent[] {
  const { batch, faults } = decodeEvents(payload)
  const faulty = new Set(faults.map((fault) => fault.index))
  const sound = Array.from({ length: eventCount(batch) }, (_, i) => i).filter((i) => !faulty.has(i))
  if (sound.length === 0) return []
  const pulses = (i: number) => batch.offsets[i + 1] - batch.offsets[i]
  const brightest = sound.reduce((best, i) => (pulses(i) > pulses(best) ? i : best))
  const others = sound.filter((i) => i !== brightest)
  const random = Array.from({ length: Math.min(AT_RANDOM, others.length) }, () => {
    const [event] = others.splice(Math.floor(choice.random() * others.length), 1)
    return event
  })
  return [...random, brightest].map((event) => toSampled(batchId, batch, event, choice))
}

/** Identifies an event in links: its id and eight characters from a hash of the batch id. */
export function eventKey(batchId: string, eventId: bigint): string {
  return `${eventId}~${createHash('sha256').update(batchId).digest('base64url').slice(0, 8)}`
}

function toSampled(
  batchId: string,
  batch: EventBatch,
  event: number,
  { pulsesMax, lineFit }: SampleChoice,
): SampledEvent {
  const id = batch.eventIds[event]
  const from = batch.offsets[event]
  const to = batch.offsets[event + 1]
  const fit = lineFit(batch, event)
  return {
    id,
    key: eventKey(batchId, id),
    eventId: id.toString(),
    batchId,
    lineFit: fit.isDegenerate ? null : roundedDirection(fromSourceVector(fit.x, fit.y, fit.z)),
    truth: directionAt(batch.truth, event),
    ...referenceOf(batch, event),
    pulsesTotal: to - from,
    chargeTotal: rounded(
      batch.charges.subarray(from, to).reduce((sum, charge) => sum + charge, 0),
      1e2,
    ),
    pulses: toPulses(batch, chooseRows(batch, event, pulsesMax)),
  }
}

/** Null where the direction is not known. */
function directionAt(columns: DirectionColumns | undefined, event: number): DirectionRad | null {
  if (!columns || Number.isNaN(columns.azimuth[event]) || Number.isNaN(columns.zenith[event])) return null
  return roundedDirection({ azimuth: columns.azimuth[event], zenith: columns.zenith[event] })
}

function referenceOf(batch: EventBatch, event: number): Pick<DrawnEvent, 'reference'> {
  const reference = directionAt(batch.reference, event)
  return reference ? { reference } : {}
}

/** Rows of the pulses to send, in order of time. */
function chooseRows(batch: EventBatch, event: number, pulsesMax: number): Int32Array {
  const { offsets, times } = batch
  const from = offsets[event]
  const pulses = offsets[event + 1] - from
  const rows =
    pulses > pulsesMax
      ? strongestRows(batch, event, pulsesMax)
      : Int32Array.from({ length: pulses }, (_, i) => from + i)
  return rows.sort((a, b) => times[a] - times[b])
}

/** Added to the charge of a non-auxiliary pulse, so that it ranks above all auxiliary ones; larger than any charge. */
const GOOD = 1e7

/**
 * The strongest pulse of each sensor first, so that the shape of a bright event is kept; then the strongest of all.
 * Loops over numbers only, since the largest known event has 178,250 pulses.
 */
function strongestRows({ offsets, ...batch }: EventBatch, event: number, count: number): Int32Array {
  const from = offsets[event]
  const sensorIds = batch.sensorIds.subarray(from, offsets[event + 1])
  const strengths = Float32Array.from(batch.charges.subarray(from, offsets[event + 1]))
  for (let i = 0; i < strengths.length; i++) if (batch.auxiliary[from + i] === 0) strengths[i] += GOOD
  const strongestOf = new Int32Array(SENSOR_COUNT).fill(-1)
  for (let i = 0; i < strengths.length; i++) {
    const best = strongestOf[sensorIds[i]]
    if (best < 0 || strengths[i] > strengths[best]) strongestOf[sensorIds[i]] = i
  }
  // Above every other strength: these rank first.
  for (const i of strongestOf) if (i >= 0) strengths[i] += 4 * GOOD
  const weakest = Float32Array.from(strengths).sort()[strengths.length - count]
  const rows = new Int32Array(count)
  let chosen = 0
  for (let i = 0; i < strengths.length; i++) if (strengths[i] > weakest) rows[chosen++] = from + i
  for (let i = 0; chosen < count; i++) if (strengths[i] === weakest) rows[chosen++] = from + i
  return rows
}

function toPulses({ sensorIds, times, charges, auxiliary }: EventBatch, rows: Int32Array): DrawnPulses {
  return {
    sensorIds: Array.from(rows, (row) => sensorIds[row]),
    timesNs: Array.from(rows, (row) => rounded(times[row], 10)),
    charges: Array.from(rows, (row) => rounded(charges[row], 1e3)),
    auxiliary: Array.from(rows, (row) => auxiliary[row]),
  }
}

/** Angles rounded to 10⁻⁵ rad (2 arc seconds), which is enough for drawing. */
export function roundedDirection({ azimuth, zenith }: { readonly azimuth: number; readonly zenith: number }) {
  return { azimuth: roundedAngle(azimuth), zenith: roundedAngle(zenith) }
}

export function roundedAngle(angle: number): number {
  return rounded(angle, 1e5)
}

/** Rounds to 1 ÷ `parts`. JSON would carry sixteen digits otherwise. */
function rounded(value: number, parts: number): number {
  return Math.round(value * parts) / parts
}

/** Most batches of sampled events that may wait for their predictions; at this number sampling stops. */
const WAITING_MAX = 256
/** Predictions that have not come by then will not come: the batch was split, or its events are dead letters. */
const WAIT_MS = 300_000
/** Predictions kept for samples that arrive after them: sampling and reading run on two connections. */
const RECENT_MAX = 64

interface Waiting {
  readonly events: readonly SampledEvent[]
  readonly sinceMs: number
}

/** Joins sampled events with their predictions, in either order of arrival. Of bounded size. */
export class Join {
  readonly #waiting = new Map<string, Waiting>()
  readonly #recent = new Map<string, StoredPredictions>()

  /** True while there is no room for another sample. Forgets samples whose predictions will not come. */
  isFull(nowMs: number): boolean {
    for (const [batchId, { sinceMs }] of this.#waiting) {
      if (nowMs - sinceMs < WAIT_MS) break
      this.#waiting.delete(batchId)
    }
    return this.#waiting.size >= WAITING_MAX
  }

  /** Predictions that arrived before the sample, if any. */
  addSample(batchId: string, events: readonly SampledEvent[], nowMs: number): StoredPredictions | undefined {
    if (events.length > 0) this.#waiting.set(batchId, { events, sinceMs: nowMs })
    return this.#recent.get(batchId)
  }

  addPredictions(stored: StoredPredictions): void {
    this.#recent.set(stored.batchId, stored)
    for (const batchId of this.#recent.keys()) {
      if (this.#recent.size <= RECENT_MAX) break
      this.#recent.delete(batchId)
    }
  }

  isWaitingFor(batchId: string): boolean {
    return this.#waiting.has(batchId)
  }

  /** The sampled events of a batch with their predictions; each is returned once. */
  take(batchId: string, predictions: PredictionBatch): DrawnEvent[] {
    const waiting = this.#waiting.get(batchId)
    this.#waiting.delete(batchId)
    return (waiting?.events ?? []).flatMap((event) => {
      const row = predictions.eventIds.indexOf(event.id)
      return row < 0 ? [] : [toDrawn(event, predictions, row)]
    })
  }
}

function toDrawn({ id: _, ...event }: SampledEvent, predictions: PredictionBatch, row: number): DrawnEvent {
  const { origin } = predictions
  const direction = { azimuth: predictions.azimuth[row], zenith: predictions.zenith[row] }
  const prediction: DrawnPrediction = {
    ...roundedDirection(direction),
    kappa: toKappa(predictions.kappa[row]),
    degenerate: predictions.degenerate[row] === 1,
    model: origin.model,
    modelVersion: origin.modelVersion,
  }
  return {
    ...event,
    prediction,
    ...utcOf(predictions, row),
    errorRad: event.truth && roundedAngle(angularDistance(direction, event.truth)),
    emittedAtMs: Math.round(origin.emittedAtMs),
    predictedAtMs: Math.round(origin.predictedAtMs),
  }
}

/** Time of an event if the stream carries it, Unix milliseconds. */
export function utcOf({ utc }: PredictionBatch, row: number): { utcMs?: number } {
  const utcMs = utc ? toUnixMs(utc[row]) : Number.NaN
  return Number.isNaN(utcMs) ? {} : { utcMs }
}

/** Four significant digits; null for NaN. */
export function toKappa(kappa: number): number | null {
  return Number.isFinite(kappa) ? Number(kappa.toPrecision(4)) : null
}
