import { expect, it } from 'vitest'
import { makeEvents, toMessage } from '../../test/support/plain-events.ts'
import type { Delivery } from '../broker/contract.ts'
import { type EventBatch, sliceEvents } from '../event/event-batch.ts'
import { decodePredictionBatch, type PredictionBatch } from '../event/prediction-wire.ts'
import type { Inference } from '../inference/inferrer.ts'
import { outcomeOf, soundEvents, toSettlement } from './settlement.ts'

/** Events of which no two share a value in any column. */
function distinctEvents(events: number): EventBatch {
  const batch = makeEvents(events)
  const column = (first: number) => Float64Array.from({ length: events }, (_, i) => first + i / 100)
  const offsets = Int32Array.from({ length: events + 1 }, (_, i) => (i * (i + 1)) / 2)
  return {
    ...batch,
    offsets,
    truth: { azimuth: column(3), zenith: column(2) },
    reference: { azimuth: column(4), zenith: column(2.5) },
    utc: BigInt64Array.from({ length: events }, (_, i) => BigInt(1000 + i)),
  }
}

/** Directions of which no two share a value in any column but `degenerate`. */
function answer(events: number): Inference {
  const column = (first: number) => Float64Array.from({ length: events }, (_, i) => first + i / 100)
  return {
    model: { name: 'm', version: '7' },
    azimuth: column(1),
    zenith: column(0.5),
    kappa: column(10),
    degenerate: Uint8Array.from({ length: events }, (_, i) => i % 2),
    faults: [],
  }
}

function deliver(batch: EventBatch): Delivery {
  return { ...toMessage('b1', batch), emittedAtMs: 123, deliveryId: 'd1', partition: 0, attempt: 2 }
}

function settle(asked: EventBatch, inference: Inference) {
  return outcomeOf({ delivery: deliver(asked), asked, inference, consumer: 'C1' })
}

/** Everything that is said of one event. */
function rowOf(predictions: PredictionBatch, id: number) {
  const row = predictions.eventIds.indexOf(BigInt(id))
  return {
    azimuth: predictions.azimuth[row],
    zenith: predictions.zenith[row],
    kappa: predictions.kappa[row],
    degenerate: predictions.degenerate[row],
    pulses: predictions.pulses[row],
    trueAzimuth: predictions.truth?.azimuth[row],
    trueZenith: predictions.truth?.zenith[row],
    referenceAzimuth: predictions.reference?.azimuth[row],
    referenceZenith: predictions.reference?.zenith[row],
    utc: predictions.utc?.[row],
  }
}

it('outcomeOf() hands the columns on as they are where every event has a direction', () => {
  const batch = distinctEvents(4)
  const inference = answer(4)
  const { predictions, deadLetters } = settle(batch, inference)
  expect(predictions?.azimuth).toBe(inference.azimuth)
  expect(deadLetters).toEqual([])
})

it('outcomeOf() keeps each event with its own values in every column when others are dead letters', () => {
  const batch = distinctEvents(6)
  const whole = settle(batch, answer(6)).predictions
  const inference = answer(6)
  inference.azimuth[0] = Number.NaN
  inference.zenith[3] = Number.POSITIVE_INFINITY
  const outcome = settle(batch, { ...inference, faults: [{ index: 4, code: 'model_failed', message: 'no' }] })
  expect(outcome.deadLetters.map(({ eventId, code }) => [eventId, code])).toEqual([
    [1n, 'model_output_invalid'],
    [4n, 'model_output_invalid'],
    [5n, 'model_failed'],
  ])
  const stored = decodePredictionBatch(toSettlement(outcome).predictions ?? new Uint8Array())
  expect(Array.from(stored.eventIds)).toEqual([2n, 3n, 6n])
  for (const id of [2, 3, 6]) expect(rowOf(stored, id)).toEqual(whole && rowOf(whole, id))
  const { azimuth, zenith, kappa, degenerate, pulses, truth, reference, utc } = stored
  const optional = [truth?.azimuth, truth?.zenith, reference?.azimuth, reference?.zenith, utc]
  const columns = [azimuth, zenith, kappa, degenerate, pulses, ...optional]
  expect(columns.map((column) => column?.length)).toEqual(Array(10).fill(3))
})

it('outcomeOf() names the model, the consumer and the batch, and passes truth, reference and pulse counts through', () => {
  const batch = distinctEvents(4)
  const settlement = toSettlement(settle(batch, answer(4)))
  const stored = decodePredictionBatch(settlement.predictions ?? new Uint8Array())
  expect(stored.origin).toMatchObject({
    batchId: 'b1',
    model: 'm',
    modelVersion: '7',
    consumer: 'C1',
    emittedAtMs: 123,
  })
  expect(stored.origin.predictedAtMs).toBeGreaterThan(1_700_000_000_000)
  expect(Array.from(stored.pulses)).toEqual([1, 2, 3, 4])
  expect(stored.truth).toEqual(batch.truth)
  expect(stored.reference).toEqual(batch.reference)
  expect(stored.utc).toEqual(batch.utc)
  expect(Array.from(stored.eventIds)).toEqual([1n, 2n, 3n, 4n])
  expect(settlement.predicted).toBe(4)
})

it('outcomeOf() stores no predictions where every event became a dead letter', () => {
  const batch = distinctEvents(1)
  const inference = answer(1)
  inference.azimuth[0] = Number.NaN
  const outcome = settle(batch, inference)
  expect(toSettlement(outcome)).toMatchObject({ predictions: undefined, predicted: 0 })
  expect(outcome.deadLetters).toHaveLength(1)
})

it('outcomeOf() of a batch without truth or reference has none', () => {
  const { predictions } = settle(makeEvents(2), answer(2))
  expect(predictions?.truth).toBeUndefined()
  expect(predictions?.reference).toBeUndefined()
})

it('outcomeOf() counts the pulses of a view', () => {
  expect(
    Array.from(settle(sliceEvents(distinctEvents(4), 2, 4), answer(2)).predictions?.pulses ?? []),
  ).toEqual([3, 4])
})

it('soundEvents() leaves out the events at fault, and copies nothing without faults', () => {
  const batch = distinctEvents(5)
  const fault = { index: 1, eventId: 2n, code: 'charge_not_finite', message: 'charge NaN' } as const
  const sound = soundEvents({ batch, faults: [fault] })
  expect(Array.from(sound.eventIds)).toEqual([1n, 3n, 4n, 5n])
  expect(Array.from(sound.reference?.azimuth ?? [])).toEqual([4, 4.02, 4.03, 4.04])
  expect(Array.from(sound.reference?.zenith ?? [])).toEqual([2.5, 2.52, 2.53, 2.54])
  expect(soundEvents({ batch, faults: [] })).toBe(batch)
})
