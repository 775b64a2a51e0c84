import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { listArtifacts } from '../../src/mlflow/artifacts.ts'
import { MlflowHttp } from '../../src/mlflow/http.ts'
import { createRun, ensureExperiment, searchRuns } from '../../src/mlflow/runs.ts'
import type { MlflowServer } from '../../tools/mlflow/server.ts'
import { isOffline, MLFLOW_WITHIN_MS, NO_MLFLOW, startMlflow } from '../support/mlflow.ts'
import { startNustream } from '../support/nustream.ts'

const PASSWORD = 'hush-hush-12'
const LOGIN = { MLFLOW_TRACKING_USERNAME: 'admin', MLFLOW_TRACKING_PASSWORD: PASSWORD }

describe('a real MLflow that asks for a login', { timeout: 600_000 }, () => {
  beforeEach((t) => t.skip(isOffline, NO_MLFLOW))

  let server: MlflowServer
  beforeAll(async () => {
    if (isOffline) return
    const env = { MLFLOW_AUTH_ADMIN_PASSWORD: PASSWORD, MLFLOW_FLASK_SERVER_SECRET_KEY: 'of this test' }
    server = await startMlflow(['--app-name', 'basic-auth'], env)
  }, MLFLOW_WITHIN_MS)
  afterAll(() => server?.[Symbol.asyncDispose](), 60_000)

  const up = async (env: Readonly<Record<string, string>>, shutdownMs: number) => {
    const role = [
      '--model',
      'linefit',
      '--events',
      '300',
      '--rate',
      '300',
      '--port',
      '0',
      '--headless',
      '--json',
    ]
    const flags = ['--mlflow', server.url, '--mlflow-interval-ms', '300', '--log-level', 'debug']
    const end = ['--mlflow-shutdown-ms', `${shutdownMs}`]
    const running = startNustream(['up', ...role, ...flags, ...end], { onTestFinished }, { env })
    expect(await running.ended, running.stderr()).toBe(0)
    return { account: JSON.parse(running.stdout()), log: running.stderr() }
  }

  it('has the whole run of who knows user and password, which show nowhere', async () => {
    const { account, log } = await up(LOGIN, 120_000)
    expect(account).toMatchObject({ predicted: 300 })
    expect(log + server.log()).not.toContain(PASSWORD)
    const http = new MlflowHttp(server.url, { user: 'admin', password: PASSWORD, timeoutMs: 60_000 })
    const experimentId = await ensureExperiment(http, 'nustream')
    const [run] = await searchRuns(http, { experimentId, filter: '' })
    expect(run.status).toBe('FINISHED')
    const files = await listArtifacts(http, run.artifactUri)
    expect(files.map(({ path }) => path)).toContain('predictions/sample.parquet')
  })

  it('tells a login without the permission from a wrong one', async () => {
    const admin = new MlflowHttp(server.url, { user: 'admin', password: PASSWORD, timeoutMs: 60_000 })
    const reader = { username: 'reader', password: 'hush-reader-1' }
    await admin.post('mlflow/users/create', reader, z.object({}))
    const experimentId = await ensureExperiment(admin, 'of the administrator')
    const http = new MlflowHttp(server.url, {
      user: reader.username,
      password: reader.password,
      timeoutMs: 60_000,
    })
    const made = createRun(http, { experimentId, name: 'r', startMs: 1, tags: {} })
    await expect(made).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(
        /answers 403, "Permission denied"; the login is known, but lacks a permission/,
      ),
    })
  })

  it.each([
    { who: 'nobody', env: {} },
    { who: 'a wrong password', env: { ...LOGIN, MLFLOW_TRACKING_PASSWORD: 'hush-wrong' } },
    { who: 'a token', env: { MLFLOW_TRACKING_TOKEN: 'hush-token' } },
  ])('takes nothing of $who; every event is predicted, and the log says why', async ({ env }) => {
    const { account, log } = await up(env, 10_000)
    expect(account).toMatchObject({ predicted: 300, deadLettered: 0 })
    expect(log).toContain('takes no such token, or user and password')
    expect(log).not.toContain('hush')
  })
})

describe('a real MLflow that knows itself by another name', { timeout: 600_000 }, () => {
  beforeEach((t) => t.skip(isOffline, NO_MLFLOW))

  it('is quoted with its refusal and the remedy', async () => {
    await using server = await startMlflow(['--allowed-hosts', 'mlflow.example'])
    const doctor = startNustream(['doctor', '--mlflow', server.url], { onTestFinished })
    await doctor.ended
    expect(doctor.stdout() + doctor.stderr()).toMatch(
      /answers 403, "Invalid Host header[^"]*"; start it with --allowed-hosts 127\.0\.0\.1:\d+ \(or MLFLOW_SERVER_ALLOWED_HOSTS\)/,
    )
  })
})
