import { type ColumnToWrite, writeArrowStream } from './arrow.ts'
import {
  type ColumnPlace,
  float32,
  float64,
  int64,
  mismatch,
  placeColumns,
  readLists,
  readValues,
  uint8,
  uint16,
  wantColumn,
} from './arrow-columns.ts'
import { type ArrowRecordBatch, readArrowStream } from './arrow-read.ts'
import { checkEvents, type EventFault, toEventError } from './check.ts'
import { type EventBatch, eventCount } from './event-batch.ts'
import { joinPulses } from './join-pulses.ts'
import { placeOfUtc, readTruth, readUtc } from './optional-columns.ts'
import { concatEvents } from './select.ts'
import { checkWireVersion, wireMetadata } from './wire-schema.ts'

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
  if (batch.utc) columns.push({ name: 'utc', values: batch.utc, nullable: true })
  return writeArrowStream(columns, rows, wireMetadata('events'))
}

/**
 * Decodes and checks events, each on its own merits.
 * @throws EventError only where nothing of the batch can be read: `wire_unreadable`, `wire_version_unknown`,
 * `wire_schema_mismatch`, or `wire_offsets_invalid` for offsets that descend or leave their column
 */
export function decodeEvents(bytes: Uint8Array): DecodedEvents {
  const { schema, batches } = readArrowStream(bytes)
  checkWireVersion(schema.metadata, 'events')
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
  readonly azimuth: ColumnPlace | undefined
  readonly zenith: ColumnPlace | undefined
  readonly utc: ColumnPlace | undefined
}

function eventColumns(places: ReadonlyMap<string, ColumnPlace>): EventColumns {
  const list = (name: string, value: string) =>
    wantColumn(places, name, [`list<${value}>`, `large_list<${value}>`])
  const optional = (name: string) => (places.has(name) ? wantColumn(places, name, [float64.name]) : undefined)
  const columns = {
    eventId: wantColumn(places, 'event_id', [int64.name]),
    sensorId: list('sensor_id', uint16.name),
    time: list('time', float32.name),
    charge: list('charge', float32.name),
    auxiliary: list('auxiliary', uint8.name),
    azimuth: optional('azimuth'),
    zenith: optional('zenith'),
    utc: placeOfUtc(places),
  }
  if (!columns.azimuth !== !columns.zenith) {
    throw mismatch(`column ${columns.azimuth ? 'zenith' : 'azimuth'} is missing; truth is both or neither`)
  }
  return columns
}

function decodeRecordBatch(recordBatch: ArrowRecordBatch, columns: EventColumns): DecodedEvents {
  const ids = readValues(recordBatch, columns.eventId, int64)
  const { pulses, faults } = joinPulses(ids, {
    sensor_id: readLists(recordBatch, columns.sensorId, uint16),
    time: readLists(recordBatch, columns.time, float32),
    charge: readLists(recordBatch, columns.charge, float32),
    auxiliary: readLists(recordBatch, columns.auxiliary, uint8),
  })
  const truth = readTruth(recordBatch, columns.azimuth, columns.zenith)
  const utc = readUtc(recordBatch, columns.utc)
  return { batch: { eventIds: ids.values, ...pulses, ...(truth && { truth }), ...(utc && { utc }) }, faults }
}
