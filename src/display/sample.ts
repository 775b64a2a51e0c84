import { createHash } from 'node:crypto'
import type { BatchMessage } from '../broker/broker.ts'
import { fromSourceVector } from '../event/direction.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import { decodeEvents } from '../event/wire.ts'
import type { LineFit } from '../inference/linefit.ts'
import type { DrawnEvent, DrawnPulses } from './messages.ts'

/** An event that was seen on its way to the model and waits for its prediction. */
export type SampledEvent = Omit<
  DrawnEvent,
  'prediction' | 'errorRad' | 'emittedAtMs' | 'predictedAtMs' | 'utcMs'
> & { readonly id: bigint }

export interface SampleChoice {
  readonly pulsesMax: number
  readonly lineFit: (batch: EventBatch, event: number) => LineFit
  /** From 0 up to and without 1. */
  readonly random: () => number
}

/**
 * Two sound events of a batch: the one with the most pulses that are not auxiliary, because it is worth looking at, and
 * one at random, because most events are not like that. Fewer where the batch has fewer.
 * @throws EventError where nothing of the batch can be read
 */
export function sampleEvents({ batchId, payload }: BatchMessage, choice: SampleChoice): SampledEvent[] {
  const { batch, faults } = decodeEvents(payload)
  const faulty = new Set(faults.map((fault) => fault.index))
  const sound = Array.from({ length: eventCount(batch) }, (_, i) => i).filter((i) => !faulty.has(i))
  if (sound.length === 0) return []
  const brightest = sound.reduce((best, i) => (goodPulses(batch, i) > goodPulses(batch, best) ? i : best))
  const random = sound[Math.floor(choice.random() * sound.length)]
  return [...new Set([random, brightest])].map((event) => toSampled(batchId, batch, event, choice))
}

/** Names an event in links: its id and eight characters that its batch gives. */
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
    truth: truthOf(batch, event),
    pulsesTotal: to - from,
    chargeTotal: rounded(
      batch.charges.subarray(from, to).reduce((sum, charge) => sum + charge, 0),
      1e2,
    ),
    pulses: toPulses(batch, chooseRows(batch, event, pulsesMax)),
  }
}

function goodPulses({ offsets, auxiliary }: EventBatch, event: number): number {
  let good = 0
  for (let row = offsets[event]; row < offsets[event + 1]; row++) good += 1 - auxiliary[row]
  return good
}

function truthOf({ truth }: EventBatch, event: number): DrawnEvent['truth'] {
  if (!truth || Number.isNaN(truth.azimuth[event]) || Number.isNaN(truth.zenith[event])) return null
  return roundedDirection({ azimuth: truth.azimuth[event], zenith: truth.zenith[event] })
}

/** Rows of the pulses to send, in order of time. */
function chooseRows(batch: EventBatch, event: number, pulsesMax: number): number[] {
  const { offsets, sensorIds, auxiliary, charges, times } = batch
  const from = offsets[event]
  let rows = Array.from({ length: offsets[event + 1] - from }, (_, i) => from + i)
  if (rows.length > pulsesMax) {
    rows.sort((a, b) => auxiliary[a] - auxiliary[b] || charges[b] - charges[a])
    // The strongest of every sensor come first, so that the shape of a bright event is not cut down to its core.
    const strongest = new Map<number, number>()
    for (const row of rows.toReversed()) strongest.set(sensorIds[row], row)
    const isStrongest = (row: number) => strongest.get(sensorIds[row]) === row
    rows = [...rows.filter(isStrongest), ...rows.filter((row) => !isStrongest(row))].slice(0, pulsesMax)
  }
  return rows.sort((a, b) => times[a] - times[b])
}

function toPulses(
  { sensorIds, times, charges, auxiliary }: EventBatch,
  rows: readonly number[],
): DrawnPulses {
  return {
    sensorIds: rows.map((row) => sensorIds[row]),
    timesNs: rows.map((row) => rounded(times[row], 10)),
    charges: rows.map((row) => rounded(charges[row], 1e3)),
    auxiliary: rows.map((row) => auxiliary[row]),
  }
}

/** Angles to a hundred-thousandth of a radian (2 arc seconds): what is drawn needs no more. */
export function roundedDirection({ azimuth, zenith }: { readonly azimuth: number; readonly zenith: number }) {
  return { azimuth: roundedAngle(azimuth), zenith: roundedAngle(zenith) }
}

export function roundedAngle(angle: number): number {
  return rounded(angle, 1e5)
}

/** To 1 ÷ `parts`. JSON would carry all sixteen digits otherwise. */
function rounded(value: number, parts: number): number {
  return Math.round(value * parts) / parts
}
