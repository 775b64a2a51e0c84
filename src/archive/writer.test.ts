import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { expect, it, onTestFinished } from 'vitest'
import { encodePredictionBatch, type PredictionBatch } from '../event/prediction-wire.ts'
import { openDuckDb, queryRows } from '../formats/parquet/duckdb.ts'
import { archiveMetrics } from './metrics.ts'
import { ArchiveWriter, writePredictions } from './writer.ts'

const STOPPED = AbortSignal.abort()

function batchOf(batchId: string): PredictionBatch {
  return {
    origin: {
      batchId,
      model: 'test',
      modelVersion: '1',
      consumer: 'C1',
      emittedAtMs: 1,
      predictedAtMs: 2,
    },
    eventIds: BigInt64Array.of(1n, 2n),
    azimuth: Float64Array.of(1, 2),
    zenith: Float64Array.of(1, 2),
    kappa: Float64Array.of(1, 2),
    degenerate: new Uint8Array(2),
    pulses: Int32Array.of(5, 6),
  }
}

function predictionsOf(partition: number, cursor: string) {
  return { partition, cursor, payload: encodePredictionBatch(batchOf(cursor)), batchId: cursor }
}

it('writePredictions() keeps references and angles to them apart from truth, null where there is none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'a.parquet')
  const unknown = Number.NaN
  await writePredictions(file, [
    {
      ...batchOf('a'),
      truth: { azimuth: Float64Array.of(unknown, 2), zenith: Float64Array.of(unknown, 2.5) },
      reference: { azimuth: Float64Array.of(1, unknown), zenith: Float64Array.of(1.25, unknown) },
    },
    batchOf('b'),
  ])
  const db = await openDuckDb()
  onTestFinished(() => db.closeSync())
  const connection = await db.connect()
  const columns = 'true_zenith, angular_error, reference_azimuth, reference_zenith, reference_angle'
  const rows = await queryRows(connection, `SELECT ${columns} FROM read_parquet(?)`, [file])
  connection.closeSync()
  const nothing = [null, null, null, null, null]
  expect(rows).toEqual([
    [null, null, 1, 1.25, expect.closeTo(0.25, 12)],
    [2.5, expect.closeTo(0.5, 12), null, null, null],
    nothing,
    nothing,
  ])
})

it('ArchiveWriter releases predictions for trimming only once their file is placed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const dir = join(folder, 'archive')
  const writer = new ArchiveWriter({
    dir,
    stream: '0123abcd',
    files: new Map(),
    intervalMs: 1_000,
    metrics: archiveMetrics(new Registry()),
    log: pino({ level: 'silent' }),
    signal: STOPPED,
  })
  writer.add(predictionsOf(0, '1-0'))
  writer.add(predictionsOf(1, '2-0'))
  await writer.flush()
  expect(writer.taken()).toEqual(new Map())
  expect(writer.pending).toBe(4)
  mkdirSync(dir)
  await writer.flush()
  expect(writer.taken()).toEqual(
    new Map([
      [0, '1-0'],
      [1, '2-0'],
    ]),
  )
  expect(writer.pending).toBe(0)
  expect(readdirSync(dir)).toHaveLength(2)
})
