import { EventError } from '../errors.ts'
import {
  type ColumnPlace,
  float64,
  int32,
  int64,
  mismatch,
  placeColumns,
  readValues,
  uint8,
  type Values,
  type ValueType,
  wantColumn,
} from './arrow-columns.ts'
import { type ArrowRecordBatch, readArrowStream } from './arrow-read.ts'
import { writeArrowStream } from './arrow-write.ts'
import { openingAngles } from './direction.ts'
import type { Reference, Truth } from './event-batch.ts'
import {
  checkWireVersion,
  placeOfUtc,
  placesOfDirection,
  REFERENCE_COLUMNS,
  readDirections,
  readNullable,
  readUtc,
  wireMetadata,
} from './wire-schema.ts'

/** Who made the predictions of a batch, from what, and when. Times are Unix milliseconds. */
export interface PredictionOrigin {
  readonly batchId: string
  readonly model: string
  readonly modelVersion: string
  readonly consumer: string
  /** When the first event of the batch was due to leave the emitter. */
  readonly emittedAtMs: number
  readonly predictedAtMs: number
}

/** Predictions of the events of one batch. All arrays are [events]; angles in radians. */
export interface PredictionBatch {
  readonly origin: PredictionOrigin
  readonly eventIds: BigInt64Array
  /** Where the neutrino came from, 0 to 2π. */
  readonly azimuth: Float64Array
  /** 0 to π. */
  readonly zenith: Float64Array
  /** Concentration of the von Mises-Fisher distribution; NaN where the model gives none. */
  readonly kappa: Float64Array
  /** 1 where the event fixed no direction and a last resort was taken, otherwise 0. */
  readonly degenerate: Uint8Array
  readonly pulses: Int32Array
  readonly truth?: Truth
  /** What another reconstruction says, as it came with the event. It is not the truth. */
  readonly reference?: Reference
  /** When the event happened, as it came with the event: nanoseconds since 1970-01-01 UTC, or `UTC_UNKNOWN`. */
  readonly utc?: BigInt64Array
}

/**
 * The wire form of predictions, specified in docs/wire-format.md: one Arrow IPC stream of one record batch.
 * `notes` are further entries of the metadata; readers of predictions step over them.
 */
export function encodePredictionBatch(
  predictions: PredictionBatch,
  notes: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const { eventIds, azimuth, zenith, kappa, degenerate, pulses, truth, reference, utc, origin } = predictions
  const rows = eventIds.length
  const unknown = new Float64Array(rows).fill(Number.NaN)
  const columns = [
    { name: 'event_id', values: eventIds },
    { name: 'azimuth', values: azimuth },
    { name: 'zenith', values: zenith },
    { name: 'kappa', values: kappa, nullable: true },
    { name: 'degenerate', values: degenerate },
    { name: 'pulses', values: pulses },
    { name: 'true_azimuth', values: truth?.azimuth ?? unknown, nullable: true },
    { name: 'true_zenith', values: truth?.zenith ?? unknown, nullable: true },
    { name: 'angular_error', values: truth ? openingAngles(predictions, truth) : unknown, nullable: true },
    ...(reference ? toReferenceColumns(reference) : []),
    ...(utc ? [{ name: 'utc', values: utc, nullable: true }] : []),
  ]
  return writeArrowStream(
    columns,
    rows,
    new Map([...notes, ...wireMetadata('predictions'), ...toMetadata(origin)]),
  )
}

function toReferenceColumns({ azimuth, zenith }: Reference) {
  const [azimuthName, zenithName] = REFERENCE_COLUMNS
  return [
    { name: azimuthName, values: azimuth, nullable: true },
    { name: zenithName, values: zenith, nullable: true },
  ]
}

/**
 * Decodes predictions. `angular_error` is left aside: it follows from the other columns.
 * @throws EventError where the bytes are not predictions of a version that this build reads
 */
export function decodePredictionBatch(bytes: Uint8Array): PredictionBatch {
  const { schema, batches } = readArrowStream(bytes)
  checkWireVersion(schema.metadata, 'predictions')
  const places = placeColumns(schema)
  const [batch, ...more] = batches
  if (!batch || more.length > 0) {
    throw mismatch(`predictions are one record batch; the stream has ${batches.length}`)
  }
  const column = <T>(name: string, type: ValueType<T>) => {
    return readWhole(batch, wantColumn(places, name, [type.name]), type)
  }
  const nullable = (name: string) => readNullable(batch, wantColumn(places, name, [float64.name]))

  const truth = { azimuth: nullable('true_azimuth'), zenith: nullable('true_zenith') }
  const reference = readDirections(batch, placesOfDirection(places, REFERENCE_COLUMNS, 'a reference'))
  const utc = readUtc(batch, placeOfUtc(places))
  const hasTruth = truth.azimuth.some((value) => !Number.isNaN(value))
  return {
    origin: fromMetadata(schema.metadata),
    eventIds: column('event_id', int64),
    azimuth: column('azimuth', float64),
    zenith: column('zenith', float64),
    kappa: nullable('kappa'),
    degenerate: column('degenerate', uint8),
    pulses: column('pulses', int32),
    ...(hasTruth && { truth }),
    ...(reference && { reference }),
    ...(utc && { utc }),
  }
}

function readWhole<T>(batch: ArrowRecordBatch, place: ColumnPlace, type: ValueType<T>): T {
  const { values, valid }: Values<T> = readValues(batch, place, type)
  if (valid) throw mismatch(`column ${place.field.name} of predictions has nulls`)
  return values
}

function toMetadata(origin: PredictionOrigin): [string, string][] {
  return [
    ['nustream.batch_id', origin.batchId],
    ['nustream.model', origin.model],
    ['nustream.model_version', origin.modelVersion],
    ['nustream.consumer', origin.consumer],
    ['nustream.emitted_at_ms', String(origin.emittedAtMs)],
    ['nustream.predicted_at_ms', String(origin.predictedAtMs)],
  ]
}

function fromMetadata(metadata: ReadonlyMap<string, string>): PredictionOrigin {
  const text = (key: string): string => {
    const value = metadata.get(key)
    if (value === undefined) throw mismatch(`the metadata of predictions has no ${key}`)
    return value
  }
  const number = (key: string): number => {
    const value = text(key)
    if (value !== '' && Number.isFinite(Number(value))) return Number(value)
    throw new EventError('wire_schema_mismatch', `${key} is ${JSON.stringify(value)}; wanted a number`)
  }
  return {
    batchId: text('nustream.batch_id'),
    model: text('nustream.model'),
    modelVersion: text('nustream.model_version'),
    consumer: text('nustream.consumer'),
    emittedAtMs: number('nustream.emitted_at_ms'),
    predictedAtMs: number('nustream.predicted_at_ms'),
  }
}
