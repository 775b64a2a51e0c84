import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { writePredictions } from '../../src/archive/writer.ts'
import { MlflowHttp } from '../../src/mlflow/http.ts'
import { InferenceLog } from '../../src/mlflow/inference-log.ts'
import { mlflowMetrics } from '../../src/mlflow/metrics.ts'
import { RunLog } from '../../src/mlflow/run-log.ts'
import { openBackend } from '../support/broker-backends.ts'
import { startConsuming, untilDrained } from '../support/consuming.ts'
import { TestInferrer } from '../support/faulty-inferrer.ts'
import { FAULTS, startHostileServer } from '../support/hostile-mlflow.ts'
import { collectLog } from '../support/log-lines.ts'
import { startNustream } from '../support/nustream.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import type { Owner } from '../support/redis.ts'
import { until } from '../support/until.ts'

const END_WITHIN_MS = 1_000

function openLog(url: string, { bufferPointsMax = 200, timeoutMs = 30_000 } = {}) {
  const registry = new Registry()
  const { log, lines } = collectLog()
  const run = new RunLog({
    http: new MlflowHttp(url, { timeoutMs, token: 'hush' }),
    experiment: 'nustream',
    name: 'C1',
    tags: {},
    metrics: mlflowMetrics(registry),
    log,
    bufferPointsMax,
    pauseMs: { first: 10, last: 100 },
  })
  const inferenceLog = new InferenceLog({
    run,
    params: { broker: 'sqlite' },
    log,
    intervalMs: 10,
    filesEveryMs: 50,
    writeSample: writePredictions,
  })
  const value = async (name: string) => {
    const text = await registry.metrics()
    return Number(new RegExp(`^nustream_mlflow_${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(text)?.[1])
  }
  return { inferenceLog, lines, value }
}

/** 50 batches go through a consumer that logs to `url`; what it took until they were settled and until the end. */
async function consumeWith(t: Owner, url: string) {
  const broker = await (await openBackend(t, 'sqlite')).open()
  for (let b = 0; b < 50; b++) await broker.publish(toMessage(`b${b}`, makeEvents(10, 1 + b * 10)))
  const logged = openLog(url)
  const { stop } = startConsuming(t, {
    broker,
    inferrer: new TestInferrer(),
    onSettled: (facts) => logged.inferenceLog.settled(facts),
  })
  await untilDrained(broker)
  const report = await stop()
  const startedAt = performance.now()
  const end = await logged.inferenceLog.end('FINISHED', END_WITHIN_MS)
  return { ...logged, report, end, endedWithinMs: performance.now() - startedAt }
}

describe('a consumer whose MLflow', () => {
  it.each(FAULTS)('%s predicts every event and ends in time', async (fault) => {
    const owner = { onTestFinished }
    const { url, requests } = await startHostileServer(owner, fault)
    const { report, end, endedWithinMs, lines, value } = await consumeWith(owner, url)
    expect(report).toMatchObject({ predicted: 500, deadLettered: 0 })
    expect(end).toMatchObject({ isComplete: false, runId: undefined })
    // The deadline, and room for a busy machine to notice that it is over.
    expect(endedWithinMs).toBeLessThan(END_WITHIN_MS + 2_000)
    expect(requests.length).toBeGreaterThan(0)
    expect(requests.length).toBeLessThan(200)
    expect(await value('up')).toBe(0)
    expect(await value('sent_points_total')).toBe(0)
    expect(await value('dropped_points_total')).toBeGreaterThan(0)
    expect(lines.join()).toContain('its run is incomplete; no prediction is lost')
    expect(lines.join()).not.toContain('hush')
  })

  it('is not there predicts every event, holds a bounded number of points and ends in time', async (t) => {
    const { report, end, value } = await consumeWith(t, 'http://127.0.0.1:9')
    expect(report).toMatchObject({ predicted: 500, deadLettered: 0 })
    expect(end.isComplete).toBe(false)
    expect(await value('failures_total')).toBeGreaterThan(0)
    expect(await value('buffer_limit_points')).toBe(200)
  })

  it('is not there drops the oldest points beyond the limit, and counts them', async () => {
    const { inferenceLog, value } = openLog('http://127.0.0.1:9', { bufferPointsMax: 20 })
    await until(async () => (await value('dropped_points_total')) > 20)
    expect(await value('buffered_points')).toBe(20)
    await inferenceLog.end('KILLED', 100)
    expect(await value('buffered_points')).toBe(0)
  })
})

it('--mlflow-buffer-points sets how many points of `up` may wait', async () => {
  const points = ['--mlflow', 'http://127.0.0.1:9', '--mlflow-buffer-points', '2000']
  const role = ['--model', 'linefit', '--port', '0', '--headless', '--rate', '100']
  const up = startNustream(['up', ...role, ...points], { onTestFinished })
  const url = await until(() => /http:\/\/127\.0\.0\.1:\d+/.exec(up.stderr())?.[0], {
    withinMs: 60_000,
    what: 'the address',
  })
  const metrics = async () => (await fetch(`${url}/metrics`)).text()
  await until(async () => (await metrics()).includes('\nnustream_mlflow_buffer_limit_points 2000\n'), {
    withinMs: 10_000,
    what: 'the limit',
  })
})
