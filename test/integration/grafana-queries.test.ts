import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MlflowServer } from '../../tools/mlflow/server.ts'
import { isOffline, MLFLOW_WITHIN_MS, startMlflow } from '../support/mlflow.ts'
import { startPrometheus } from '../support/prometheus.ts'
import { PROMETHEUS, ruleFiles } from '../support/prometheus-files.ts'
import { until } from '../support/until.ts'
import { startWatchedStream } from '../support/watched-stream.ts'

const DASHBOARDS = fileURLToPath(new URL('../../deploy/grafana/dashboards', import.meta.url))

interface Shown {
  readonly panel: string
  readonly expr: string
}

/** Every query of every panel. */
function shown(): Shown[] {
  return readdirSync(DASHBOARDS).flatMap((name) => {
    // grafana.test.ts checks the form.
    const file = JSON.parse(readFileSync(join(DASHBOARDS, name), 'utf8')) as {
      title: string
      panels: { title: string; targets?: { expr: string }[] }[]
    }
    return file.panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({ panel: `${file.title} / ${title}`, expr })),
    )
  })
}

/** Its registry; what the consumer logs to is away. */
let mlflow: MlflowServer | undefined
beforeAll(async () => {
  if (!isOffline) mlflow = await startMlflow()
}, MLFLOW_WITHIN_MS)
afterAll(() => mlflow?.[Symbol.asyncDispose](), 60_000)

it('every panel of every dashboard has data when the roles run', {
  timeout: 700_000,
}, async ({ onTestFinished }) => {
  const owner = { onTestFinished }
  const stream = await startWatchedStream(owner, mlflow?.url)
  const prometheus = await startPrometheus(owner, {
    config: readFileSync(join(PROMETHEUS, 'prometheus.yml'), 'utf8'),
    rules: ruleFiles(),
    targets: stream.targets,
  })
  const predicted = 'sum(nustream_consumer_events_total{outcome="predicted"}) > 0'
  await until(async () => (await prometheus.query(predicted)).length > 0, {
    withinMs: 240_000,
    everyMs: 500,
    what: 'predicted events',
  })
  await stream.publishBadEvent()
  // Without a registry there is nothing to say of one.
  const queries = shown().filter(({ expr }) => mlflow !== undefined || !expr.includes('nustream_model_'))
  expect(queries.length).toBeGreaterThan(60)
  const hasData = async ({ expr }: Shown) => {
    // Grafana's variable: with scrapes every 5 s it is 20 s, and more where a point on the screen is longer.
    const samples = await prometheus.query(expr.replaceAll('$__rate_interval', '1m'))
    return samples.some(({ value }) => value[1] !== 'NaN')
  }
  let empty = queries
  const look = async () => {
    const answers = await Promise.all(empty.map(async (query) => ({ query, has: await hasData(query) })))
    empty = answers.filter(({ has }) => !has).map(({ query }) => query)
    return empty.length === 0
  }
  const how = { withinMs: 240_000, everyMs: 2_000, what: 'data in every panel' }
  const failure = await until(look, how).catch((error: unknown) => error)
  expect(empty, String(failure)).toEqual([])
})
