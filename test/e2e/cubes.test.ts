import { describe, expect, it } from 'vitest'
import { ensureMlflow } from '../../tools/mlflow/environment.ts'
import { isAnyAlive, startCubes } from '../support/cubes.ts'
import { until } from '../support/until.ts'

interface Run {
  readonly info: { readonly run_id: string; readonly status: string }
  readonly data: {
    readonly params?: { readonly key: string; readonly value: string }[]
    readonly metrics?: { readonly key: string; readonly value: number }[]
  }
}

/** The REST interface of MLflow, as far as this test reads it. */
function openTracking(url: string) {
  const ask = async <T>(path: string, body?: object): Promise<T> => {
    const response = await fetch(`${url}/api/2.0/mlflow/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }
  return {
    async runs(): Promise<Run[]> {
      const { experiment } = await ask<{ experiment: { experiment_id: string } }>(
        'experiments/get-by-name?experiment_name=nustream',
      )
      const found = await ask<{ runs?: Run[] }>('runs/search', { experiment_ids: [experiment.experiment_id] })
      return found.runs ?? []
    },
    async history(run: string, metric: string): Promise<{ timestamp: number; value: number }[]> {
      const path = `metrics/get-history?run_id=${run}&metric_key=${metric}`
      return (await ask<{ metrics?: { timestamp: number; value: number }[] }>(path)).metrics ?? []
    },
    async files(run: string, path = ''): Promise<string[]> {
      const list = `artifacts/list?run_id=${run}&path=${path}`
      const { files = [] } = await ask<{ files?: { path: string; is_dir: boolean }[] }>(list)
      const nested = files.map((file) => (file.is_dir ? this.files(run, file.path) : [file.path]))
      return (await Promise.all(nested)).flat()
    },
  }
}

describe('npm run cubes', () => {
  it('brings up both cubes, rides out kills, accounts for every event, leaves a finished run in MLflow', async ({
    onTestFinished,
    skip,
  }) => {
    if ((await ensureMlflow()) === undefined) skip('MLflow is not installed')
    const args = ['--events', '4000', '--rate', '200', '--stay', '--json']
    const cubes = startCubes({ onTestFinished }, args)
    await cubes.up()
    const pids = cubes.descendants()
    process.kill(cubes.pidOf('emit'), 'SIGKILL')
    process.kill(cubes.pidOf('redis'), 'SIGKILL')
    await until(() => cubes.stdout().includes('{'), {
      withinMs: 300_000,
      everyMs: 200,
      what: `the account (${cubes.stderr()})`,
    })
    const account = JSON.parse(cubes.stdout())
    expect(account).toMatchObject({ emitted: 4_000, predicted: 4_000, deadLettered: 0, model: 'linefit' })
    expect(account.meanAngularErrorRad).toBeLessThan(1.571)
    expect(cubes.stderr()).toMatch(/emitter ended with exit code 137; started again/)
    expect(cubes.stderr()).toMatch(/redis ended with exit code 137; started again/)

    const tracking = openTracking(cubes.address('mlflow'))
    const [run, ...others] = await tracking.runs()
    expect(others).toEqual([])
    expect(run.info.status).toBe('FINISHED')
    expect(run.data.params?.length).toBeGreaterThan(5)
    expect(run.data.params?.find(({ key }) => /model/.test(key))).toBeDefined()
    const total = run.data.metrics?.find(({ key }) => key === 'total_events')
    expect(total?.value).toBe(4_000)
    const history = await tracking.history(run.info.run_id, 'events')
    expect(new Set(history.map(({ timestamp }) => timestamp)).size).toBeGreaterThan(2)
    const files = await tracking.files(run.info.run_id)
    expect(files.some((path) => path.endsWith('.parquet'))).toBe(true)
    expect(files.some((path) => path.endsWith('.svg') || path.endsWith('.png'))).toBe(true)

    const prometheus = cubes.address('prometheus')
    expect((await fetch(`${prometheus}/api/v1/targets`)).ok).toBe(true)
    cubes.child.kill('SIGINT')
    expect(await cubes.ended).toBe(130)
    await until(() => !isAnyAlive(pids), { withinMs: 5_000, what: 'the end of every part' })
  })

  it('leaves no process behind when it is killed itself', async ({ onTestFinished }) => {
    const cubes = startCubes({ onTestFinished }, ['--no-mlflow', '--rate', '50'])
    await cubes.up()
    const second = startCubes({ onTestFinished }, ['--no-mlflow'], cubes.folder)
    expect(await second.ended).toBe(1)
    expect(second.stderr()).toContain(`process ${cubes.child.pid}`)
    const pids = cubes.descendants()
    // Seven parts, each below its guard.
    expect(pids.length).toBeGreaterThanOrEqual(14)
    cubes.child.kill('SIGKILL')
    await cubes.ended
    await until(() => !isAnyAlive(pids), { withinMs: 30_000, everyMs: 100, what: 'the end of every part' })
  })

  it.for([
    {
      what: 'is set wrongly',
      source: 'nonsense',
      says: /emitter ended with exit code 2 .*no source "nonsense"/,
    },
    {
      what: 'cannot run',
      source: `parquet:${import.meta.filename}`,
      says: /emitter ended with exit code 1 after \d restarts .*cubes\.test\.ts/,
    },
  ])('stops everything, and says why, when a part $what', async ({ source, says }, { onTestFinished }) => {
    const cubes = startCubes({ onTestFinished }, ['--no-mlflow', '--source', source])
    const seen = new Set<number>()
    const timer = setInterval(() => cubes.descendants().forEach((pid) => void seen.add(pid)), 500)
    const code = await cubes.ended
    clearInterval(timer)
    expect(code).toBe(1)
    expect(cubes.stderr()).toMatch(says)
    expect(seen.size).toBeGreaterThan(6)
    await until(() => !isAnyAlive([...seen]), { withinMs: 5_000, what: 'the end of every part' })
  })

  it.each([
    { args: ['--events', 'many'], code: 2, says: '--events many' },
    { args: ['--bogus'], code: 2, says: '--bogus' },
    { args: ['--help'], code: 0, says: 'Usage: npm run cubes' },
  ])('answers $args with exit code $code', async ({ args, code, says }) => {
    const cubes = startCubes({ onTestFinished: () => {} }, args, '/nonexistent')
    expect(await cubes.ended).toBe(code)
    expect(cubes.stdout() + cubes.stderr()).toContain(says)
  })
})
