import { readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../errors.ts'
import { type EventBatch, eventCount, pulseCount, TOPOLOGIES, TRUTH_DETAILS } from '../event/event-batch.ts'
import { sensorPositions } from '../event/sensors.ts'
import { makeFolders } from '../folders.ts'
import {
  openParquetWriter,
  type ParquetColumn,
  type ParquetWriter,
  UnwritableError,
} from '../formats/parquet/write.ts'
import { simulateInWorkers } from './simulation.ts'

export interface WriteKaggleOptions {
  /** Folder of the data set; made where it is missing. */
  readonly dir: string
  /** Events in all. */
  readonly events: number
  readonly seed: number
  /** Draw ice and sensors for each event. */
  readonly systematics?: boolean
  /** Events in each batch file. The competition has 200,000. */
  readonly eventsPerFile?: number
  /** Worker threads that simulate; the data set does not depend on it. */
  readonly workers?: number
  /** Replace the data set that is in the folder. */
  readonly overwrite?: boolean
  /** Called as the data set grows with the events written so far. */
  readonly onProgress?: (events: number) => void
  /** Stops writing, and removes what was written. */
  readonly signal?: AbortSignal
}

export interface WriteKaggleReport {
  readonly events: number
  readonly pulses: number
  /** Batch files in the folder's `train`. */
  readonly files: number
}

const SIMULATED_AT_ONCE = 250

const PULSE_COLUMNS: ParquetColumn[] = [
  { name: 'event_id', type: 'int64', from: 'int64' },
  { name: 'sensor_id', type: 'int16', from: 'uint16' },
  { name: 'time', type: 'int64', from: 'float32' },
  { name: 'charge', type: 'double', from: 'float64' },
  { name: 'auxiliary', type: 'boolean', from: 'uint8' },
]
const META_COLUMNS: ParquetColumn[] = [
  { name: 'batch_id', type: 'int64', from: 'int32' },
  { name: 'event_id', type: 'int64', from: 'int64' },
  { name: 'first_pulse_index', type: 'int64', from: 'int32' },
  { name: 'last_pulse_index', type: 'int64', from: 'int32' },
  { name: 'azimuth', type: 'double', from: 'float64' },
  { name: 'zenith', type: 'double', from: 'float64' },
  // Not in the competition's file: what a simulation knows besides.
  { name: 'topology', type: 'string', from: 'string' },
  ...TRUTH_DETAILS.map((name): ParquetColumn => ({ name, type: 'double', from: 'float64', nanIsNull: true })),
]

/**
 * Simulates a data set in the layout of the Kaggle challenge: `train/batch_N.parquet` from N = 1, `train_meta.parquet` and
 * `sensor_geometry.csv`. Event ids are the events' indices, ascending. Memory is bounded whatever the number of events.
 * Each file appears when it is whole, `train_meta.parquet` last: where that is, the data set is complete.
 * @throws UsageError `flag_invalid` where the folder holds a data set and `overwrite` is not set, or cannot be written to
 * @throws `signal.reason` when aborted
 */
export async function writeKaggle(options: WriteKaggleOptions): Promise<WriteKaggleReport> {
  const { dir, events, eventsPerFile = 200_000, signal } = options
  const train = join(dir, 'train')
  await makeFolders(train).catch((cause: unknown) => {
    throw unwritable(dir, cause)
  })
  await makeRoom(dir, options.overwrite ?? false)
  await using meta = await openParquetWriter(join(dir, 'train_meta.parquet'), META_COLUMNS)
  const written: string[] = []
  let pulses = 0
  try {
    for (let from = 0; from < events; from += eventsPerFile) {
      const path = join(train, `batch_${written.length + 1}.parquet`)
      written.push(path)
      const to = Math.min(events, from + eventsPerFile)
      pulses += await writeBatchFile({ ...options, path, batchId: written.length, from, to, meta })
    }
    await writeGeometry(join(dir, 'sensor_geometry.csv'))
    await meta.finish()
  } catch (error) {
    for (const path of written) await rm(path, { force: true })
    if (signal?.aborted) throw signal.reason
    throw isUnwritable(error) ? unwritable(dir, error) : error
  }
  return { events, pulses, files: written.length }
}

interface BatchFile extends WriteKaggleOptions {
  readonly path: string
  readonly batchId: number
  readonly from: number
  readonly to: number
  readonly meta: ParquetWriter
}

/** Pulses in the file. */
async function writeBatchFile(file: BatchFile): Promise<number> {
  const { seed, from, to, batchId, meta, signal } = file
  await using writer = await openParquetWriter(file.path, PULSE_COLUMNS)
  let done = from
  const batches = simulateInWorkers({
    seed,
    from,
    to,
    batchEvents: SIMULATED_AT_ONCE,
    systematics: file.systematics,
    ...(file.workers !== undefined && { workers: file.workers }),
    ...(signal && { signal }),
  })
  for await (const batch of batches) {
    await meta.append(toMetaColumns(batch, batchId, writer.rows))
    await writer.append(toPulseColumns(batch))
    done += eventCount(batch)
    file.onProgress?.(done)
  }
  signal?.throwIfAborted()
  await writer.finish()
  return writer.rows
}

function toPulseColumns(batch: EventBatch) {
  const ids = new BigInt64Array(pulseCount(batch))
  for (const [i, id] of batch.eventIds.entries()) ids.fill(id, batch.offsets[i], batch.offsets[i + 1])
  // Charges lie on a grid of 0.05; as doubles they are 1.075 and not 1.0750000476837158.
  const charges = Float64Array.from(batch.charges, (charge) => Math.round(charge * 1000) / 1000)
  return [ids, batch.sensorIds, batch.times, charges, batch.auxiliary]
}

function toMetaColumns(batch: EventBatch, batchId: number, firstRow: number) {
  const { eventIds, offsets, truth } = batch
  const events = eventIds.length
  const unknown = () => new Float64Array(events).fill(Number.NaN)
  return [
    new Int32Array(events).fill(batchId),
    eventIds,
    Int32Array.from({ length: events }, (_, i) => firstRow + offsets[i]),
    Int32Array.from({ length: events }, (_, i) => firstRow + offsets[i + 1] - 1),
    truth?.azimuth ?? unknown(),
    truth?.zenith ?? unknown(),
    Array.from({ length: events }, (_, i) => TOPOLOGIES[truth?.topology?.[i] ?? 0]),
    ...TRUTH_DETAILS.map((_, column) =>
      Float64Array.from(
        { length: events },
        (_, i) => truth?.details?.[i * TRUTH_DETAILS.length + column] ?? Number.NaN,
      ),
    ),
  ]
}

/** Whether it is the file system that refuses, DuckDB's words for it included. */
function isUnwritable(error: unknown): boolean {
  return error instanceof UnwritableError || (error instanceof Error && 'syscall' in error)
}

function unwritable(dir: string, cause: unknown): UsageError {
  const told = cause instanceof Error ? cause.message : String(cause)
  return new UsageError('flag_invalid', `cannot write a data set below ${dir}: ${told}`, { cause })
}

async function makeRoom(dir: string, overwrite: boolean): Promise<void> {
  const train = join(dir, 'train')
  const batches = (await readdir(train)).filter((name) => /^batch_\d+\.parquet$/.test(name))
  const hasMeta = (await readdir(dir)).includes('train_meta.parquet')
  if (batches.length === 0 && !hasMeta) return
  if (!overwrite) {
    throw new UsageError(
      'flag_invalid',
      `${dir} holds a data set already; choose another folder, or have it replaced (--overwrite)`,
    )
  }
  await rm(join(dir, 'train_meta.parquet'), { force: true })
  for (const name of batches) await rm(join(train, name))
}

async function writeGeometry(path: string): Promise<void> {
  const lines = ['sensor_id,x,y,z']
  for (let sensor = 0; sensor * 3 < sensorPositions.length; sensor++) {
    const [x, y, z] = sensorPositions.subarray(sensor * 3, sensor * 3 + 3)
    lines.push(`${sensor},${x.toFixed(2)},${y.toFixed(2)},${z.toFixed(2)}`)
  }
  await writeFile(`${path}.tmp`, `${lines.join('\n')}\n`)
  await rename(`${path}.tmp`, path)
}
