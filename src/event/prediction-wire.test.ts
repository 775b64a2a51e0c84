import { tableFromIPC } from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import { randomEvents } from '../../test/support/random-events.ts'
import { EventError } from '../errors.ts'
import { writeArrowStream } from './arrow-write.ts'
import { UTC_UNKNOWN } from './event-batch.ts'
import { decodePredictionBatch, encodePredictionBatch, type PredictionBatch } from './prediction-wire.ts'
import { encodeEventBatch } from './wire.ts'

const predictions: PredictionBatch = {
  origin: {
    batchId: 'sim:42/7',
    model: 'linefit',
    modelVersion: '1.0',
    consumer: 'C1 of µ',
    emittedAtMs: 1_763_900_000_000.25,
    predictedAtMs: 1_763_900_000_123,
  },
  eventIds: BigInt64Array.of(24n, 2_147_483_627n, -1n),
  azimuth: Float64Array.of(1, 2, 3),
  zenith: Float64Array.of(0.5, 1.5, 2.5),
  kappa: Float64Array.of(12.5, Number.NaN, 0),
  degenerate: Uint8Array.of(0, 1, 0),
  pulses: Int32Array.of(61, 1, 178_250),
  truth: { azimuth: Float64Array.of(1, Number.NaN, 3), zenith: Float64Array.of(0.75, Number.NaN, 2.5) },
}

describe('predictions on the wire', () => {
  it('come back as they went', () => {
    expect(decodePredictionBatch(encodePredictionBatch(predictions))).toEqual(predictions)
  })

  it('come back with the time of each event where it is known', () => {
    const timed = { ...predictions, utc: BigInt64Array.of(1_795_000_000_123_456_789n, UTC_UNKNOWN, 1n) }
    expect(decodePredictionBatch(encodePredictionBatch(timed))).toEqual(timed)
  })

  it('come back with the reference of each event, apart from the truth', () => {
    const reference = {
      azimuth: Float64Array.of(Number.NaN, 2.5, 0),
      zenith: Float64Array.of(Number.NaN, 1.25, 3),
    }
    const { truth, ...blind } = predictions
    expect(decodePredictionBatch(encodePredictionBatch({ ...blind, reference }))).toEqual({
      ...blind,
      reference,
    })
    const both = decodePredictionBatch(encodePredictionBatch({ ...predictions, reference }))
    expect(both).toEqual({ ...predictions, reference })
    expect(both.truth).toEqual(truth)
  })

  it('have no columns of a reference where none came, and need both', () => {
    const table = tableFromIPC(encodePredictionBatch(predictions))
    expect(table.schema.names.filter((name) => String(name).startsWith('reference'))).toEqual([])
    const columns = table.schema.names.map((name) => ({
      name: String(name),
      values: table.getChild(String(name))?.toArray(),
      nullable: true,
    }))
    const half = [...columns, { name: 'reference_azimuth', values: new Float64Array(3), nullable: true }]
    const bytes = writeArrowStream(half, 3, new Map(table.schema.metadata))
    expect(() => decodePredictionBatch(bytes)).toThrow(
      'column reference_zenith is missing; a reference is both or neither',
    )
  })

  it('come back without truth where none is known', () => {
    const { truth, ...blind } = predictions
    expect(decodePredictionBatch(encodePredictionBatch(blind))).toEqual(blind)
    expect(truth).toBeDefined()
  })

  it('carry the angular error, null where the truth is not known', () => {
    const errors = tableFromIPC(encodePredictionBatch(predictions)).getChild('angular_error')
    expect(errors?.get(0)).toBeCloseTo(0.25, 12)
    expect(errors?.get(1)).toBeNull()
    expect(errors?.get(2)).toBe(0)
  })

  it('are refused by name where a text is longer than is read', () => {
    const origin = { ...predictions.origin, batchId: 'x'.repeat(5000) }
    expect(() => decodePredictionBatch(encodePredictionBatch({ ...predictions, origin }))).toThrow(
      'nustream.batch_id has 5000 bytes; at most 4096',
    )
  })

  it.each([
    { name: 'events in their place', bytes: encodeEventBatch(randomEvents()), message: /holds "events\/1"/ },
    {
      name: 'missing columns',
      bytes: writeArrowStream([], 0, new Map([['nustream.schema', 'predictions/1']])),
      message: /column true_azimuth is missing; wanted float64/,
    },
  ])('are refused by name: $name', ({ bytes, message }) => {
    expect(() => decodePredictionBatch(bytes)).toThrow(EventError)
    expect(() => decodePredictionBatch(bytes)).toThrow(message)
  })
})
