import { EventError, type EventErrorCode } from '../errors.ts'
import {
  type ColumnPlace,
  float32,
  int64,
  isValid,
  type Lists,
  mismatch,
  placeColumns,
  readLists,
  readValues,
  uint8,
  uint16,
  type Values,
  wantColumn,
} from './arrow-columns.ts'
import { type ArrowRecordBatch, readArrowStream } from './arrow-read.ts'
import { type ColumnToWrite, writeArrowStream } from './arrow-write.ts'
import { checkEvents, type EventFault, toEventError } from './check.ts'
import { concatEvents, type EventBatch, eventCount } from './event-batch.ts'
import {
  checkDetector,
  checkWireVersion,
  type DirectionPlaces,
  placeOfUtc,
  placesOfDirection,
  REFERENCE_COLUMNS,
  readDirections,
  readUtc,
  wireMetadata,
} from './wire-schema.ts'

export interface DecodedEvents {
  /** All events that came, the faulty ones too. Arrays are views of the bytes wherever those allow it. */
  readonly batch: EventBatch
  /** At most one per event, in order. A faulty event may have no pulses where the event form cannot hold them. */
  readonly faults: readonly EventFault[]
}

/** The wire form of a batch, specified in docs/wire-format.md: one Arrow IPC stream. */
export function encodeEventBatch(batch: EventBatch): Uint8Array {
  const rows = eventCount(batch)
  const first = batch.offsets[0]
  const last = batch.offsets[rows]
  const offsets = first === 0 ? batch.offsets : batch.offsets.map((offset) => offset - first)
  const columns: ColumnToWrite[] = [
    { name: 'event_id', values: batch.eventIds },
    { name: 'sensor_id', values: batch.sensorIds.subarray(first, last), offsets },
    { name: 'time', values: batch.times.subarray(first, last), offsets },
    { name: 'charge', values: batch.charges.subarray(first, last), offsets },
    { name: 'auxiliary', values: batch.auxiliary.subarray(first, last), offsets },
  ]
  if (batch.truth) {
    columns.push({ name: 'azimuth', values: batch.truth.azimuth, nullable: true })
    columns.push({ name: 'zenith', values: batch.truth.zenith, nullable: true })
  }
  if (batch.reference) {
    const [azimuth, zenith] = REFERENCE_COLUMNS
    columns.push({ name: azimuth, values: batch.reference.azimuth, nullable: true })
    columns.push({ name: zenith, values: batch.reference.zenith, nullable: true })
  }
  if (batch.utc) columns.push({ name: 'utc', values: batch.utc, nullable: true })
  return writeArrowStream(columns, rows, wireMetadata('events'))
}

export interface DecodeLimits {
  readonly bytesMax: number
  readonly eventsMax: number
}

/**
 * Decodes and checks events, each on its own merits.
 * @throws EventError only where nothing of the batch can be read: `wire_unreadable`, `wire_version_unknown`,
 * `wire_schema_mismatch`, `detector_unknown`, `wire_offsets_invalid` for offsets that descend or leave their column, or `batch_too_large`
 * beyond the limits
 */
export function decodeEvents(bytes: Uint8Array, limits?: DecodeLimits): DecodedEvents {
  if (limits && bytes.length > limits.bytesMax) {
    throw new EventError(
      'batch_too_large',
      `the batch has ${bytes.length} bytes, at most ${limits.bytesMax} are taken`,
    )
  }
  const { schema, batches } = readArrowStream(bytes)
  checkWireVersion(schema.metadata, 'events')
  checkDetector(schema.metadata)
  const events = batches.reduce((sum, { rows }) => sum + rows, 0)
  if (limits && events > limits.eventsMax) {
    throw new EventError(
      'batch_too_large',
      `the batch has ${events} events, at most ${limits.eventsMax} are taken`,
    )
  }
  const columns = eventColumns(placeColumns(schema))
  const parts = batches.map((recordBatch) => decodeRecordBatch(recordBatch, columns))
  const batch = concatEvents(parts.map((part) => part.batch))

  const faults = new Map(checkEvents(batch).map((fault) => [fault.index, fault]))
  let first = 0
  for (const part of parts) {
    // What the event form could not hold says more than "no pulses", which is how that event is held.
    for (const fault of part.faults) faults.set(first + fault.index, { ...fault, index: first + fault.index })
    first += eventCount(part.batch)
  }
  return { batch, faults: [...faults.values()].sort((a, b) => a.index - b.index) }
}

/**
 * Decodes a batch of which every event must be sound.
 * @throws EventError with code and message of the first fault
 */
export function decodeEventBatch(bytes: Uint8Array): EventBatch {
  const { batch, faults } = decodeEvents(bytes)
  if (faults.length > 0) throw toEventError(faults[0])
  return batch
}

interface EventColumns {
  readonly eventId: ColumnPlace
  readonly sensorId: ColumnPlace
  readonly time: ColumnPlace
  readonly charge: ColumnPlace
  readonly auxiliary: ColumnPlace
  readonly truth: DirectionPlaces | undefined
  readonly reference: DirectionPlaces | undefined
  readonly utc: ColumnPlace | undefined
}

function eventColumns(places: ReadonlyMap<string, ColumnPlace>): EventColumns {
  const list = (name: string, value: string) =>
    wantColumn(places, name, [`list<${value}>`, `large_list<${value}>`])
  return {
    eventId: wantColumn(places, 'event_id', [int64.name]),
    sensorId: list('sensor_id', uint16.name),
    time: list('time', float32.name),
    charge: list('charge', float32.name),
    auxiliary: list('auxiliary', uint8.name),
    truth: placesOfDirection(places, ['azimuth', 'zenith'], 'truth'),
    reference: placesOfDirection(places, REFERENCE_COLUMNS, 'a reference'),
    utc: placeOfUtc(places),
  }
}

function decodeRecordBatch(recordBatch: ArrowRecordBatch, columns: EventColumns): DecodedEvents {
  const ids = readValues(recordBatch, columns.eventId, int64)
  const { pulses, faults } = joinPulses(ids, {
    sensor_id: readLists(recordBatch, columns.sensorId, uint16),
    time: readLists(recordBatch, columns.time, float32),
    charge: readLists(recordBatch, columns.charge, float32),
    auxiliary: readLists(recordBatch, columns.auxiliary, uint8),
  })
  const truth = readDirections(recordBatch, columns.truth)
  const reference = readDirections(recordBatch, columns.reference)
  const utc = readUtc(recordBatch, columns.utc)
  const optional = { ...(truth && { truth }), ...(reference && { reference }), ...(utc && { utc }) }
  return { batch: { eventIds: ids.values, ...pulses, ...optional }, faults }
}

/** The four list columns of a record batch, under their names on the wire. */
export interface PulseLists {
  readonly sensor_id: Lists<Uint16Array>
  readonly time: Lists<Float32Array>
  readonly charge: Lists<Float32Array>
  readonly auxiliary: Lists<Uint8Array>
}

type Pulses = Pick<EventBatch, 'offsets' | 'sensorIds' | 'times' | 'charges' | 'auxiliary'>
type PulseArray = Uint16Array | Float32Array | Uint8Array
type NamedLists = readonly (readonly [name: string, lists: Lists<PulseArray>])[]

export interface JoinedPulses {
  readonly pulses: Pulses
  /** Events that the event form cannot hold: nulls, or lists of different lengths. They are held without pulses. */
  readonly faults: readonly EventFault[]
}

/**
 * Puts the lists of one record batch, each with offsets of its own, under one array of offsets: as views where the four
 * agree, as a copy where an event cannot be held.
 * @throws EventError `wire_offsets_invalid` where offsets descend or leave their column, naming the event;
 * `wire_schema_mismatch` where an event has no id
 */
export function joinPulses(ids: Values<BigInt64Array>, lists: PulseLists): JoinedPulses {
  const eventIds = ids.values
  for (let i = 0; i < eventIds.length; i++) {
    if (!isValid(ids.valid, i)) throw mismatch(`event_id of row ${i} is null`)
  }
  const named: NamedLists = Object.entries(lists)
  for (const [name, column] of named) checkOffsets(name, column, eventIds)

  const faults: EventFault[] = []
  if (!areAlike(named)) {
    for (let i = 0; i < eventIds.length; i++) {
      const fault = unheld(named, i, eventIds[i])
      if (fault) faults.push(fault)
    }
  }
  const pulses = faults.length === 0 ? viewPulses(lists) : copyHeld(lists, faults)
  return { pulses, faults }
}

function checkOffsets(name: string, { offsets, values }: Lists<PulseArray>, ids: BigInt64Array): void {
  let before = 0
  for (let i = 0; i < offsets.length; i++) {
    const offset = offsets[i]
    if (offset >= before && offset <= values.length) {
      before = offset
      continue
    }
    const event = ids.length === 0 ? 'no event' : `event ${ids[Math.max(0, i - 1)]}`
    throw new EventError(
      'wire_offsets_invalid',
      `${event}: offsets of column ${name} go from ${before} to ${offset}; ` +
        `they ascend from 0 to at most ${values.length}`,
    )
  }
}

/** Whether four columns have lists of the same lengths and no nulls, which is how nearly every batch comes. */
function areAlike(named: NamedLists): boolean {
  const [[, first]] = named
  return named.every(([, { offsets, valid, validLists }]) => {
    if (valid || validLists) return false
    const shift = offsets[0] - first.offsets[0]
    for (let i = 0; i < offsets.length; i++) if (offsets[i] - first.offsets[i] !== shift) return false
    return true
  })
}

function unheld(named: NamedLists, index: number, eventId: bigint): EventFault | undefined {
  const fault = (code: EventErrorCode, what: string): EventFault => {
    return { index, eventId, code, message: `event ${eventId}: ${what}` }
  }
  for (const [name, { validLists }] of named) {
    if (!isValid(validLists, index)) return fault('wire_schema_mismatch', `${name} is null`)
  }
  const lengths = named.map(([, { offsets }]) => offsets[index + 1] - offsets[index])
  if (lengths.some((length) => length !== lengths[0])) {
    const counts = named.map(([name], i) => `${lengths[i]} ${name}`).join(', ')
    return fault('wire_offsets_invalid', `lists of different lengths: ${counts}`)
  }
  for (const [name, { offsets, valid }] of named) {
    for (let i = 0; i < lengths[0]; i++) {
      if (!isValid(valid, offsets[index] + i)) {
        return fault('wire_schema_mismatch', `pulse ${i} has null as ${name}`)
      }
    }
  }
  return undefined
}

function viewPulses({ sensor_id, time, charge, auxiliary }: PulseLists): Pulses {
  const first = sensor_id.offsets[0]
  return {
    offsets: first === 0 ? sensor_id.offsets : sensor_id.offsets.map((offset) => offset - first),
    sensorIds: ownValues(sensor_id),
    times: ownValues(time),
    charges: ownValues(charge),
    auxiliary: ownValues(auxiliary),
  }
}

function ownValues<T extends PulseArray>({ offsets, values }: Lists<T>): T {
  // subarray() is typed to give the plain array of the union, but keeps the class that it is called on.
  return values.subarray(offsets[0], offsets[offsets.length - 1]) as T
}

function copyHeld(lists: PulseLists, faults: readonly EventFault[]): Pulses {
  const isHeld = new Uint8Array(lists.time.offsets.length - 1).fill(1)
  for (const { index } of faults) isHeld[index] = 0
  const offsets = new Int32Array(isHeld.length + 1)
  for (const [i, held] of isHeld.entries()) {
    offsets[i + 1] = offsets[i] + held * (lists.time.offsets[i + 1] - lists.time.offsets[i])
  }
  const pulses = offsets[isHeld.length]
  const copy = <T extends PulseArray>(into: T, from: Lists<T>): T => {
    for (const [i, held] of isHeld.entries()) {
      if (held) into.set(from.values.subarray(from.offsets[i], from.offsets[i + 1]), offsets[i])
    }
    return into
  }
  return {
    offsets,
    sensorIds: copy(new Uint16Array(pulses), lists.sensor_id),
    times: copy(new Float32Array(pulses), lists.time),
    charges: copy(new Float32Array(pulses), lists.charge),
    auxiliary: copy(new Uint8Array(pulses), lists.auxiliary),
  }
}
