import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { writePredictions } from '../../src/archive/writer.ts'
import { downloadArtifact, listArtifacts, uploadArtifact } from '../../src/mlflow/artifacts.ts'
import { MlflowHttp } from '../../src/mlflow/http.ts'
import { InferenceLog } from '../../src/mlflow/inference-log.ts'
import { mlflowMetrics } from '../../src/mlflow/metrics.ts'
import { RunLog } from '../../src/mlflow/run-log.ts'
import {
  createRun,
  ensureExperiment,
  getRun,
  logBatch,
  type MetricPoint,
  type RunInfo,
  searchRuns,
  updateRun,
} from '../../src/mlflow/runs.ts'
import type { MlflowServer } from '../../tools/mlflow/server.ts'
import { openBackend } from '../support/broker-backends.ts'
import { startConsuming, untilDrained } from '../support/consuming.ts'
import { TestInferrer } from '../support/faulty-inferrer.ts'
import { collectLog } from '../support/log-lines.ts'
import { isOffline, MLFLOW_WITHIN_MS, NO_MLFLOW, startMlflow } from '../support/mlflow.ts'
import { startNustream } from '../support/nustream.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { until } from '../support/until.ts'

/** A database on a busy machine can take long. */
const PATIENT = { withinMs: 240_000, everyMs: 250 }

describe('a real MLflow', { timeout: 600_000 }, () => {
  beforeEach((t) => t.skip(isOffline, NO_MLFLOW))

  let server: MlflowServer
  let http: MlflowHttp
  beforeAll(async () => {
    if (isOffline) return
    server = await startMlflow()
    http = new MlflowHttp(server.url, { timeoutMs: 60_000 })
  }, MLFLOW_WITHIN_MS)
  afterAll(() => server?.[Symbol.asyncDispose](), 60_000)

  const runsOf = async (experiment: string): Promise<RunInfo[]> =>
    searchRuns(http, { experimentId: await ensureExperiment(http, experiment), filter: '' })
  const history = z.object({
    metrics: z.array(z.object({ value: z.number(), step: z.coerce.number() })).default([]),
  })
  const historyOf = async (runId: string, key: string) =>
    (
      await http.get(
        'mlflow/metrics/get-history',
        { run_id: runId, metric_key: key, max_results: '10000' },
        history,
      )
    ).metrics
  const pairs = z.object({
    run: z.object({ data: z.object({ params: z.array(z.object({ key: z.string(), value: z.string() })) }) }),
  })
  const paramsOf = async (runId: string) => {
    const { run } = await http.get('mlflow/runs/get', { run_id: runId }, pairs)
    return Object.fromEntries(run.data.params.map(({ key, value }) => [key, value]))
  }

  it('takes runs: more at once than its limits, ended, resumed, made once whatever is asked', async () => {
    const experimentId = await ensureExperiment(http, 'client')
    expect(await ensureExperiment(http, 'client')).toBe(experimentId)
    const run = await createRun(http, {
      experimentId,
      name: 'r',
      startMs: Date.now(),
      tags: { 'a.b': "it's" },
    })
    const metrics: MetricPoint[] = Array.from({ length: 1001 }, (_, step) => {
      return { key: 'm/x y-z_1', value: step, timestamp: 1_000 + step, step }
    })
    const texts = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`p${i}`, 'x'.repeat(7000)]))
    for (let i = 0; i < 2; i++) await logBatch(http, run.runId, { metrics, params: texts, tags: { t: 'ü' } })
    expect(await historyOf(run.runId, 'm/x y-z_1')).toHaveLength(1001)
    expect(Object.keys(await paramsOf(run.runId))).toHaveLength(101)
    await updateRun(http, run.runId, { status: 'KILLED', endMs: Date.now() })
    expect(await getRun(http, run.runId)).toMatchObject({ status: 'KILLED', tags: { t: 'ü', 'a.b': "it's" } })
    await updateRun(http, run.runId, { status: 'RUNNING' })
    expect((await getRun(http, run.runId)).status).toBe('RUNNING')
    await expect(getRun(http, '0'.repeat(32))).rejects.toMatchObject({ errorCode: 'RESOURCE_DOES_NOT_EXIST' })
  })

  it('keeps artefacts: names of all kinds, folders, and the bytes as they were', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'nustream-artefacts-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const experimentId = await ensureExperiment(http, 'client')
    const { artifactUri } = await createRun(http, { experimentId, name: 'r', startMs: Date.now(), tags: {} })
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) & 255))
    await writeFile(join(dir, 'in'), bytes)
    const names = ['model.json', 'a b/ü+41.bin', 'a b/c/d.txt']
    for (const path of names) await uploadArtifact(http, artifactUri, { path, file: join(dir, 'in') })
    const listed = await listArtifacts(http, artifactUri)
    expect(listed.toSorted((a, b) => a.path.localeCompare(b.path))).toEqual(
      names.toSorted((a, b) => a.localeCompare(b)).map((path) => ({ path, bytes: bytes.length })),
    )
    for (const path of names) {
      const file = join(dir, 'out')
      await downloadArtifact(http, artifactUri, { path, file, bytesMax: bytes.length })
      expect(bytes.equals(await readFile(file))).toBe(true)
      const cut = downloadArtifact(http, artifactUri, { path, file, bytesMax: 1000 })
      await expect(cut).rejects.toThrow('more than the 1000 bytes expected')
    }
  })

  it('counts the points that MLflow refuses as dropped, and takes those behind them', async () => {
    const registry = new Registry()
    const { log } = collectLog()
    const run = new RunLog({
      http,
      experiment: 'refused',
      name: 'C1',
      tags: {},
      metrics: mlflowMetrics(registry),
      log,
    })
    const value = async (name: string) => {
      const lines = (await registry.metrics()).split('\n')
      return Number(lines.find((line) => line.startsWith(`nustream_mlflow_${name} `))?.split(' ')[1])
    }
    const point = (key: string, step: number): MetricPoint => ({ key, value: step, timestamp: 1_000, step })
    run.addPoints([point('no such character: ?', 0), point('no such character: ?', 1)])
    await until(async () => (await value('dropped_points_total')) > 0, PATIENT)
    run.addPoints([point('good', 2)])
    await until(async () => (await value('sent_points_total')) > 0, PATIENT)
    expect(await run.end('FINISHED', 60_000)).toMatchObject({ isComplete: true, unsentPoints: 0 })
    expect(await value('dropped_points_total')).toBe(2)
    expect(await value('sent_points_total')).toBe(1)
    expect(await value('failures_total{reason="refused"}')).toBe(1)
  })

  it('holds a finished run of `up` with parameters, metrics over time, sample and pictures', async () => {
    const flags = [
      '--model',
      'linefit',
      '--events',
      '2000',
      '--rate',
      '1000',
      '--port',
      '0',
      '--headless',
      '--json',
    ]
    const logging = ['--mlflow', server.url.replace('//', '//user:hush@'), '--mlflow-interval-ms', '500']
    const rest = ['--mlflow-experiment', 'up', '--mlflow-shutdown-ms', '120000', '--log-level', 'debug']
    const up = startNustream(['up', ...flags, ...logging, ...rest], { onTestFinished })
    expect(await up.ended, up.stderr()).toBe(0)
    expect(up.stderr()).not.toContain('hush')
    const [{ runId, status, artifactUri, tags }, ...others] = await runsOf('up')
    expect(others).toEqual([])
    expect(status).toBe('FINISHED')
    expect(tags).toMatchObject({ 'nustream.model': 'linefit', 'mlflow.source.name': 'nustream' })
    expect(await paramsOf(runId)).toMatchObject({
      model: 'linefit',
      model_version: '1',
      batch_events: '256',
      source: 'sim:1',
      node_version: process.version,
    })
    const events = await historyOf(runId, 'events')
    expect(events.reduce((sum, { value }) => sum + value, 0)).toBe(2000)
    expect(new Set(events.map(({ step }) => step)).size).toBeGreaterThan(2)
    for (const key of ['latency_p50_ms', 'latency_p99_ms', 'events_per_second', 'mean_angular_error_rad'])
      expect((await historyOf(runId, key)).length, key).toBeGreaterThan(0)
    expect(await historyOf(runId, 'total_events')).toMatchObject([{ value: 2000 }])
    const files = await listArtifacts(http, artifactUri)
    const names = ['plots/angular-error.svg', 'plots/sky.svg', 'predictions/sample.parquet']
    expect(files.map(({ path }) => path).sort()).toEqual(names)
    const texts = await Promise.all(names.map((path) => readArtifact(http, artifactUri, path)))
    expect(texts.map((text) => text.slice(0, 4))).toEqual(['<svg', '<svg', 'PAR1'])
  })

  it('marks the run of a process that vanished as killed, and of one that failed as failed', async () => {
    const flags = ['--mlflow', server.url, '--mlflow-experiment', 'vanished', '--mlflow-shutdown-ms', '60000']
    const role = ['--model', 'linefit', '--port', '0', '--headless', '--log-level', 'info']
    const vanishing = startNustream(['up', ...flags, ...role, '--rate', '100'], { onTestFinished })
    await until(() => vanishing.stderr().includes('logging to an MLflow run'), PATIENT)
    await vanishing.kill('SIGKILL')
    const interrupted = startNustream(['up', ...flags, ...role, '--rate', '100', '--events', '100000'], {
      onTestFinished,
    })
    await until(() => interrupted.stderr().includes('of a process that vanished'), PATIENT)
    await interrupted.kill('SIGTERM')
    const statuses = (await runsOf('vanished')).map(({ status }) => status)
    expect(statuses).toEqual(['KILLED', 'KILLED'])
  })

  it('gets a new run when one has run for its time, and every event is in one of them', async (t) => {
    const broker = await (await openBackend(t, 'sqlite')).open()
    const { log } = collectLog()
    const metrics = mlflowMetrics(new Registry())
    const open = () => new RunLog({ http, experiment: 'rotated', name: 'C1', tags: {}, metrics, log })
    const inferenceLog = new InferenceLog({
      run: open(),
      next: { afterMs: 2_000, open },
      params: { a: 'b' },
      log,
      intervalMs: 200,
      filesEveryMs: 60_000,
      writeSample: writePredictions,
    })
    const { stop } = startConsuming(t, {
      broker,
      inferrer: new TestInferrer(),
      onSettled: (facts) => inferenceLog.settled(facts),
    })
    let batches = 0
    await until(async () => {
      await broker.publish(toMessage(`b${batches}`, makeEvents(10, 1 + batches++ * 10)))
      return (await runsOf('rotated')).length > 1
    }, PATIENT)
    await untilDrained(broker)
    await stop()
    expect(await inferenceLog.end('FINISHED', 120_000)).toMatchObject({ isComplete: true })
    await until(async () => (await runsOf('rotated')).every(({ status }) => status === 'FINISHED'), PATIENT)
    const runs = (await runsOf('rotated')).reverse()
    expect(runs[1].tags['nustream.previous_run']).toBe(runs[0].runId)
    const totals = await Promise.all(runs.map(({ runId }) => historyOf(runId, 'total_events')))
    expect(totals.flat().reduce((sum, { value }) => sum + value, 0)).toBe(10 * batches)
    expect(await paramsOf(runs[1].runId)).toMatchObject({ a: 'b', model: expect.any(String) })
    const files = await listArtifacts(http, runs[0].artifactUri)
    expect(files.map(({ path }) => path)).toContain('predictions/sample.parquet')
  })

  it('marks its experiments as those of models that are trained, not of language models', async () => {
    const experimentId = await ensureExperiment(http, 'kind')
    const tags = z.object({
      experiment: z.object({ tags: z.array(z.object({ key: z.string(), value: z.string() })) }),
    })
    const { experiment } = await http.get('mlflow/experiments/get', { experiment_id: experimentId }, tags)
    expect(experiment.tags).toContainEqual({
      key: 'mlflow.experimentKind',
      value: 'custom_model_development',
    })
  })

  it('after a kill and restart, the same run continues and has every point', async (t) => {
    const broker = await (await openBackend(t, 'sqlite')).open()
    const registry = new Registry()
    const { log, lines } = collectLog()
    const run = new RunLog({
      http,
      experiment: 'restart',
      name: 'C1',
      tags: {},
      metrics: mlflowMetrics(registry),
      log,
      pauseMs: { first: 100, last: 1_000 },
    })
    const options = { intervalMs: 500, filesEveryMs: 60_000, writeSample: writePredictions }
    const inferenceLog = new InferenceLog({ run, params: { a: 'b' }, log, ...options })
    const { stop } = startConsuming(t, {
      broker,
      inferrer: new TestInferrer(),
      onSettled: (facts) => inferenceLog.settled(facts),
    })
    let batches = 0
    const publish = async (count: number) => {
      for (let i = 0; i < count; i++, batches++)
        await broker.publish(toMessage(`b${batches}`, makeEvents(10, 1 + batches * 10)))
      await untilDrained(broker)
    }
    const metric = async (name: string) => {
      const text = await registry.metrics()
      return Number(new RegExp(`^nustream_mlflow_${name} (\\S+)$`, 'm').exec(text)?.[1])
    }
    await publish(10)
    await until(() => run.runId, PATIENT)
    await until(async () => (await metric('sent_points_total')) > 0, PATIENT)

    await server.kill()
    await publish(10)
    await until(async () => (await metric('buffered_points')) > 20, PATIENT)
    expect(await metric('up')).toBe(0)
    expect(await broker.totals()).toMatchObject({ predicted: 200 })

    await server.restart()
    await publish(10)
    await until(() => lines.join().includes('MLflow is back, the run goes on'), PATIENT)
    await until(async () => (await metric('up')) === 1, PATIENT)
    expect(await stop()).toMatchObject({ predicted: 300 })
    expect(await inferenceLog.end('FINISHED', 120_000)).toMatchObject({ isComplete: true, unsentPoints: 0 })

    const [{ runId, status }, ...others] = await runsOf('restart')
    expect(others).toEqual([])
    expect({ runId, status }).toEqual({ runId: run.runId, status: 'FINISHED' })
    const events = await historyOf(runId, 'events')
    expect(events.reduce((sum, { value }) => sum + value, 0)).toBe(300)
    const steps = events.map(({ step }) => step).sort((a, b) => a - b)
    expect(steps).toEqual(steps.map((_, i) => i))
  })
})

async function readArtifact(http: MlflowHttp, uri: string, path: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'nustream-artefact-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  await downloadArtifact(http, uri, { path, file: join(dir, 'file'), bytesMax: 10_000_000 })
  return readFile(join(dir, 'file'), 'latin1')
}
