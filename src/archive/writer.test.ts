import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { expect, it, onTestFinished } from 'vitest'
import { encodePredictionBatch } from '../event/prediction-wire.ts'
import { archiveMetrics } from './metrics.ts'
import { ArchiveWriter } from './writer.ts'

const STOPPED = AbortSignal.abort()

function predictionsOf(partition: number, cursor: string) {
  const payload = encodePredictionBatch({
    origin: {
      batchId: cursor,
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
  })
  return { partition, cursor, payload, batchId: cursor }
}

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
