import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { MlflowHttp } from '../../src/mlflow/http.ts'
import { findVersion, setAlias } from '../../src/mlflow/registry.ts'
import { ensureMlflow, QUIET_MLFLOW } from '../../tools/mlflow/environment.ts'
import type { MlflowServer } from '../../tools/mlflow/server.ts'
import { freePort } from '../support/free-port.ts'
import { isOffline, MLFLOW_WITHIN_MS, NO_MLFLOW, startMlflow } from '../support/mlflow.ts'
import { startNustream } from '../support/nustream.ts'
import { until } from '../support/until.ts'

const FIRST = 'test/fixtures/models/raw-mask'
const SECOND = 'test/fixtures/models/transformer-d64x4'
const PATIENT = { withinMs: 240_000, everyMs: 100 }
const EVENT = {
  pulses: Array.from({ length: 20 }, (_, i) => {
    return { sensor_id: 100 + 61 * i, time: 10_000 + 20 * i, charge: 1, auxiliary: i % 3 === 0 }
  }),
}

interface Answer {
  readonly model: string
  readonly version: string
  readonly azimuth: number
}

describe('models of a real MLflow registry', { timeout: 600_000 }, () => {
  beforeEach((t) => t.skip(isOffline, NO_MLFLOW))

  let server: MlflowServer
  let http: MlflowHttp
  let cache: string
  beforeAll(async () => {
    if (isOffline) return
    server = await startMlflow()
    http = new MlflowHttp(server.url, { timeoutMs: 60_000 })
    cache = await mkdtemp(join(tmpdir(), 'nustream-cache-'))
  }, MLFLOW_WITHIN_MS)
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await rm(cache, { recursive: true, force: true })
  }, 60_000)

  const publish = async (folder: string, name: string, ...more: string[]) => {
    const flags = ['--name', name, '--mlflow', server.url, '--json', ...more]
    const publishing = startNustream(['models', 'publish', folder, ...flags], { onTestFinished })
    const code = await publishing.ended
    return { code, stdout: publishing.stdout(), stderr: publishing.stderr() }
  }

  const serve = async (...flags: string[]) => {
    const rest = ['--mlflow', server.url, '--port', '0', '--model-cache', cache, '--threads', '1']
    const timing = [
      ...['--model-poll-ms', '500', '--model-probation-ms', '1000'],
      // Weights of both models are random: they answer as far apart as chance.
      ...['--model-gate', 'off'],
    ]
    const serving = startNustream(['serve', ...flags, ...rest, ...timing], { onTestFinished })
    const url = await until(() => {
      if (serving.child.exitCode !== null) throw new Error(serving.stderr())
      return /at (http:\S+) /.exec(serving.stdout())?.[1]
    }, PATIENT)
    const ask = async (): Promise<Answer> => {
      const response = await fetch(`${url}/predict`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(EVENT),
      })
      expect(response.status).toBe(200)
      // What a test then compares is the check.
      return (await response.json()) as Answer
    }
    const text = async (path: string) => (await fetch(`${url}${path}`)).text()
    return { ask, text, serving }
  }

  it('a new version under the alias takes over while requests come, and none is lost', async () => {
    expect(await publish(FIRST, 'direction', '--alias', 'champion')).toMatchObject({ code: 0 })
    const { ask, text } = await serve('--model', 'models:/direction@champion', '--challenger', SECOND)
    const before = await ask()
    expect(before).toMatchObject({ model: 'direction', version: '1' })

    let isOver = false
    const versions: string[] = []
    const loading = Array.from({ length: 4 }, async () => {
      while (!isOver) versions.push((await ask()).version)
    })
    const published = await publish(SECOND, 'direction', '--alias', 'champion')
    expect(published.stdout).toContain('"version":"2"')
    await until(() => versions.at(-1) === '2', PATIENT)
    isOver = true
    await Promise.all(loading)
    expect(new Set(versions)).toEqual(new Set(['1', '2']))

    const after = await ask()
    expect(after).toMatchObject({ model: 'direction', version: '2' })
    expect(after.azimuth).not.toBeCloseTo(before.azimuth, 3)
    expect(JSON.parse(await text('/v2/models/direction'))).toMatchObject({
      name: 'direction',
      versions: ['2'],
    })
    expect(await text('/metrics')).toContain('nustream_model_swaps_total{slot="model",outcome="swapped"} 1')
    // The challenger is the second model too: from the swap on both answer the same, once it comes to run.
    await until(async () => {
      await ask()
      return /challenger_angle_radians_bucket{le="0.01"} [1-9]/.test(await text('/metrics'))
    }, PATIENT)
  })

  it('a version that does not give the answers of its training is refused and said; the alias moves on', async () => {
    const bad = await mkdtemp(join(tmpdir(), 'nustream-bad-'))
    onTestFinished(() => rm(bad, { recursive: true }))
    await cp(SECOND, bad, { recursive: true })
    const parity = await readFile(join(bad, 'parity.json'), 'utf8')
    await writeFile(join(bad, 'parity.json'), parity.replace(/"azimuth": ?[\d.]+/g, '"azimuth": 0.5'))
    const refused = await publish(bad, 'second', '--alias', 'champion')
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/model_parity_failed.*nothing was published/s)

    await publish(FIRST, 'second', '--alias', 'champion')
    const { ask, text } = await serve('--model', 'models:/second@champion')
    expect(await publish(bad, 'second', '--alias', 'champion', '--force')).toMatchObject({ code: 0 })
    const health = async () => JSON.parse(await text('/health')) as { details: Record<string, string> }
    await until(async () => (await health()).details['model_refused'], PATIENT)
    const { details } = await health()
    expect(details).toMatchObject({ model_release: 'second 1' })
    expect(details['model_refused']).toMatch(/^second 2: .*parity\.json: event/)
    expect(await ask()).toMatchObject({ version: '1' })
    expect(await text('/metrics')).toContain('nustream_model_release_refused{slot="model"} 1')

    await publish(SECOND, 'second', '--alias', 'champion')
    await until(async () => (await ask()).version === '3', PATIENT)
    await setAlias(http, { name: 'second', alias: 'champion', version: '1' })
    await until(async () => (await ask()).version === '1', PATIENT)
    expect((await health()).details['model_refused']).toBeUndefined()
  })

  it('MLflow itself loads, serves and describes what was published', async () => {
    expect(await publish(FIRST, 'loadable', '--alias', 'champion')).toMatchObject({ code: 0 })
    const program = (await ensureMlflow()) ?? ''
    // `mlflow models serve` looks for its server among the programs on the path.
    const PATH = `${dirname(program)}:${process.env['PATH']}`
    const env = { ...process.env, ...QUIET_MLFLOW, MLFLOW_TRACKING_URI: server.url, PATH }
    const script = `
import mlflow, numpy as np, json
model = mlflow.pyfunc.load_model("models:/loadable@champion")
pulses = np.arange(24, dtype=np.float32).reshape(2, 2, 6)
answer = model.predict({"pulses": pulses, "padding": np.zeros((2, 2), dtype=bool)})
session = mlflow.onnx.load_model("models:/loadable@champion")
print(json.dumps({
  "inputs": model.metadata.get_input_schema().input_names(),
  "outputs": model.metadata.get_output_schema().to_dict(),
  "shape": list(answer["direction"].shape),
  "graph": [i.name for i in session.graph.input],
}))`
    const python = await promisify(execFile)(join(dirname(program), 'python'), ['-c', script], { env })
    expect(JSON.parse(python.stdout)).toEqual({
      inputs: ['pulses', 'padding'],
      outputs: [{ type: 'tensor', name: 'direction', 'tensor-spec': { dtype: 'float32', shape: [-1, 3] } }],
      shape: [2, 3],
      graph: ['pulses', 'padding'],
    })

    const port = await freePort()
    const serving = spawn(
      program,
      ['models', 'serve', '-m', 'models:/loadable@champion', '--env-manager', 'local', '-p', String(port)],
      { stdio: 'ignore', env, detached: true },
    )
    const ended = once(serving, 'close')
    onTestFinished(async () => {
      if (serving.exitCode === null && serving.pid !== undefined) process.kill(-serving.pid, 'SIGKILL')
      await ended
    })
    const inputs = { pulses: [[[1, 2, 3, 4, 5, 6]]], padding: [[false]] }
    const answer = await until(async () => {
      if (serving.exitCode !== null) throw new Error(`mlflow models serve ended with ${serving.exitCode}`)
      const response = await fetch(`http://127.0.0.1:${port}/invocations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ inputs }),
      }).catch(() => undefined)
      return response && { status: response.status, body: await response.text() }
    }, PATIENT)
    expect(answer).toMatchObject({ status: 200 })
    const { predictions } = JSON.parse(answer.body) as { predictions: { direction: number[][] } }
    expect(predictions.direction[0]).toHaveLength(3)
  })

  it('files that are not what was published are refused', async () => {
    await publish(FIRST, 'forged', '--alias', 'champion')
    const { source } = await findVersion(http, { name: 'forged', alias: 'champion' })
    const files = new URL(source.replace('mlflow-artifacts:', 'file:')).pathname
    const path = join(server.dir, 'artifacts', files, 'model.json')
    await writeFile(path, (await readFile(path, 'utf8')).replace('"version"', ' "version"'))
    await expect(serve('--model', 'models:/forged@champion')).rejects.toThrow('is not what was published')
  })

  it('what the registry does not have is named', async () => {
    await expect(serve('--model', 'models:/direction@nobody')).rejects.toThrow(
      'has no alias "nobody" of a registered model "direction"',
    )
  })

  it('without MLflow a running server continues, and a starting one loads the last verified version', async () => {
    await publish(FIRST, 'away', '--alias', 'champion')
    const first = await serve('--model', 'models:/away@champion')
    await server.kill()
    const health = async ({ text }: typeof first) =>
      JSON.parse(await text('/health')) as { status: string; details: Record<string, string> }
    await until(async () => (await health(first)).details['model_registry_away'], PATIENT)
    expect(await health(first)).toMatchObject({ status: 'ok', details: { model_release: 'away 1' } })
    expect(await first.text('/metrics')).toContain('nustream_model_registry_up{slot="model"} 0')
    await first.serving.kill('SIGTERM')

    const second = await serve('--model', 'models:/away@champion')
    expect(await second.ask()).toMatchObject({ model: 'away', version: '1' })
    expect(second.serving.stderr()).toContain('the model that proved good the last time is used')
    expect((await health(second)).details['model_registry_away']).toMatch(/cannot be reached/)
    await expect(serve('--model', 'models:/nothing@champion')).rejects.toThrow(/MLflow .*cannot be reached/)
  })
})
