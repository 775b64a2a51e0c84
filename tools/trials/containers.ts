/**
 * Builds the image and runs the Compose files with Docker: one laptop (compose.yaml), then two cubes in two networks
 * (cube1.yaml, cube2.yaml). Every service is stopped and started, then killed and started, while events flow; at the
 * end every event that was emitted must have been predicted once or be a dead letter, and be once in the archive.
 *
 *   npm run containers [-- --tool docker-compose] [--stage laptop|cubes] [--rate 300]
 *                            [--model nano] [--without grafana] [--no-build]
 *
 * Ctrl-C, SIGTERM, a closed terminal or the end of npm ends it; its containers, networks and volumes are removed in any case.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { until } from '../../test/support/until.ts'
import { listenForStop } from '../stop-signal.ts'
import { ComposeProject, output, type Totals } from './compose-project.ts'

const { values } = parseArgs({
  options: {
    tool: { type: 'string' },
    stage: { type: 'string' },
    rate: { type: 'string', default: '300' },
    model: { type: 'string', default: 'nano' },
    /** Services to leave out because their image is not available, separated by commas. */
    without: { type: 'string', default: '' },
    'no-build': { type: 'boolean', default: false },
  },
})
const LAPTOP = [
  'redis',
  'server',
  'consumer',
  'archive',
  'display',
  'emitter',
  'mlflow',
  'prometheus',
  'grafana',
]
const OURS = ['emitter', 'server', 'consumer', 'archive', 'display']
const CUBE1 = ['redis', 'emitter']
const CUBE2 = LAPTOP.filter((service) => !CUBE1.includes(service))
/** Ports that are seldom in use. */
const PORTS = { DISPLAY_PORT: '18080', PROMETHEUS_PORT: '19090', GRAFANA_PORT: '13000', MLFLOW_PORT: '15000' }
/** Most that our layers may add to the base image, MB. */
const OWN_MAX_MB = 160
/** Time for which each service is stopped. */
const AWAY_MS = 3_000
/** The queried container may itself be stopped, or may not have counted anything: every error means "not yet". */
const isAway = () => true
const without = new Set(values.without.split(','))
const { signal, exitCode } = listenForStop()

process.exitCode = await main()

async function main(): Promise<number> {
  // The reader of stdout may close it before everything has been removed.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const told = () => say('ending: the containers, networks and volumes of this trial are removed first')
  signal.addEventListener('abort', told)
  try {
    return await tryAll()
  } catch (error) {
    // A failed removal is thrown as a SuppressedError.
    if (!signal.aborted || error instanceof SuppressedError) throw error
    say('ended early: the account was not checked')
    return exitCode() || 143
  }
}

async function tryAll(): Promise<number> {
  const engine = await docker('info', '--format', '{{.ServerVersion}}').catch(() => undefined)
  if (engine === undefined) {
    signal.throwIfAborted()
    say('no Docker daemon answers: start one (docker info) and try again')
    return 1
  }
  const tool = values.tool?.split(' ') ?? (await findCompose())
  say(
    `Docker Engine ${engine.trim()}, ${(await output(tool[0], [...tool.slice(1), 'version'], { signal })).split('\n')[0]}`,
  )
  const file = 'deploy/compose.yaml'
  // One image for all files.
  if (!values['no-build'])
    await new ComposeProject({ tool, project: 'nustream', file, env: {}, signal }).compose('build', 'emitter')
  await checkImage()
  if (values.stage !== 'cubes') await laptop(tool)
  if (values.stage !== 'laptop') await twoCubes(tool)
  say('all held')
  return 0
}

async function findCompose(): Promise<string[]> {
  const plugin = await docker('compose', 'version').catch(() => undefined)
  return plugin === undefined ? ['docker-compose'] : ['docker', 'compose']
}

async function laptop(tool: readonly string[]): Promise<void> {
  const env = { ...PORTS, NUSTREAM_RATE: values.rate, NUSTREAM_MODEL: values.model }
  const file = 'deploy/compose.yaml'
  await using stack = new AsyncDisposableStack()
  const all = open(stack, new ComposeProject({ tool, project: 'nustream-laptop', file, env, signal }))
  const services = LAPTOP.filter((service) => !without.has(service))
  say(`one laptop: ${services.join(', ')}`)
  await start(all, services)
  await all.healthy(services)
  await checkHardening(all)
  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    for (const service of services) await interrupt(all, service, { signal, services, watcher: all })
  if (services.includes('prometheus')) await checkTargets(all)
  if (services.includes('mlflow')) await checkRuns(all)
  await settleAccount({ cube1: all, cube2: all })
}

async function twoCubes(tool: readonly string[]): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const secrets = mkdtempSync(join(tmpdir(), 'nustream-secrets-'))
  stack.defer(() => rmSync(secrets, { recursive: true, force: true }))
  const address = await bridgeAddress()
  await output('deploy/certs.sh', ['--dir', secrets, address], { signal })
  const env = {
    ...PORTS,
    NUSTREAM_RATE: values.rate,
    NUSTREAM_MODEL: values.model,
    SECRETS_DIR: secrets,
    CUBE1_ADDRESS: address,
    CUBE1_BIND: address,
    REDIS_PORT: '16379',
  }
  const project = (name: string) =>
    new ComposeProject({ tool, project: `nustream-${name}`, file: `deploy/${name}.yaml`, env, signal })
  const cube1 = open(stack, project('cube1'))
  const cube2 = open(stack, project('cube2'))
  const services2 = CUBE2.filter((service) => !without.has(service))
  say(`two cubes: ${CUBE1.join(', ')} | ${services2.join(', ')}`)
  await start(cube1, CUBE1)
  await start(cube2, services2)
  await cube1.healthy(CUBE1)
  await cube2.healthy(services2)
  await checkDoor(cube1, cube2)
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const service of CUBE1) await interrupt(cube1, service, { signal, services: CUBE1, watcher: cube2 })
    for (const service of services2)
      await interrupt(cube2, service, { signal, services: services2, watcher: cube2 })
  }
  if (services2.includes('prometheus')) await checkTargets(cube2)
  if (services2.includes('mlflow')) await checkRuns(cube2)
  await checkSecrets([cube1, cube2], secrets)
  await settleAccount({ cube1, cube2 })
}

/** The two networks share only this address of the machine, where cube 1 publishes its ports. */
async function bridgeAddress(): Promise<string> {
  const option = '{{index .Options "com.docker.network.bridge.name"}}'
  const name = (await docker('network', 'inspect', 'bridge', '-f', option)).trim()
  const own = networkInterfaces()[name]?.find(({ family }) => family === 'IPv4')
  if (!own) throw new Error(`the bridge ${name} of Docker has no address on this machine`)
  return own.address
}

function docker(...args: string[]): Promise<string> {
  return output('docker', args, { signal })
}

function open(stack: AsyncDisposableStack, project: ComposeProject): ComposeProject {
  stack.defer(() => project.remove())
  return project
}

async function start(project: ComposeProject, services: readonly string[]): Promise<void> {
  await project.remove()
  await project.compose('up', '-d', '--no-build', ...services)
}

interface Interruption {
  readonly signal: 'SIGTERM' | 'SIGKILL'
  /** Services that must be healthy again afterwards. */
  readonly services: readonly string[]
  /** The project whose consumer counts. */
  readonly watcher: ComposeProject
}

/** Stops one service for some seconds, and waits until all are healthy and events flow again. */
async function interrupt(project: ComposeProject, service: string, how: Interruption): Promise<void> {
  const before = await until(() => how.watcher.totals(), {
    withinMs: 60_000,
    everyMs: 500,
    signal,
    notYet: isAway,
  })
  const id = await project.container(service)
  const startedAt = performance.now()
  if (how.signal === 'SIGTERM') await docker('stop', '-t', '30', id)
  else await docker('kill', '-s', 'SIGKILL', id)
  const stoppedMs = performance.now() - startedAt
  const status = await project.inspect(service, '{{.State.ExitCode}}')
  if (how.signal === 'SIGTERM' && OURS.includes(service) && status !== '0')
    throw new Error(`${service} ended with ${status} after a stop request`)
  await pause(AWAY_MS, undefined, { signal })
  await docker('start', id)
  await project.healthy(how.services)
  const flows = async () => (await how.watcher.totals()).predicted > before.predicted + Number(values.rate)
  await until(flows, {
    withinMs: 120_000,
    everyMs: 500,
    what: `predictions after ${service} came back`,
    signal,
    notYet: isAway,
  })
  const backMs = performance.now() - startedAt
  say(
    `${how.signal} ${service}: gone after ${seconds(stoppedMs)} s (exit ${status}), all healthy and predicting after ${seconds(backMs)} s`,
  )
}

/** Stops the emitter, drains the stream, and counts the archived events. @throws Error if an event is missing */
async function settleAccount(cubes: { cube1: ComposeProject; cube2: ComposeProject }): Promise<void> {
  await docker('stop', '-t', '30', await cubes.cube1.container('emitter'))
  const drained = async () => {
    const totals = await cubes.cube2.totals()
    return totals.emitted === totals.predicted + totals.deadLettered ? totals : undefined
  }
  const totals: Totals = await until(drained, {
    withinMs: 900_000,
    everyMs: 1_000,
    what: 'an empty stream',
    signal,
    notYet: isAway,
  })
  const folder = mkdtempSync(join(tmpdir(), 'nustream-archived-'))
  try {
    const archive = await cubes.cube2.container('archive')
    await docker('stop', '-t', '30', archive)
    await docker('cp', `${archive}:/data/predictions`, folder)
    const { rows, events } = await countArchived(join(folder, 'predictions'))
    say(
      `emitted ${totals.emitted} = predicted ${totals.predicted} + dead letters ${totals.deadLettered}; archived ${rows} rows, ${events} events`,
    )
    if (rows !== totals.predicted || events !== totals.predicted)
      throw new Error(
        `the archive holds ${rows} rows of ${events} events, predicted were ${totals.predicted}`,
      )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function countArchived(folder: string): Promise<{ rows: number; events: number }> {
  const connection = await (await DuckDBInstance.create()).connect()
  const files = readdirSync(folder).filter((file) => file.endsWith('.parquet'))
  if (files.length === 0) throw new Error('the archive wrote no file')
  const sql = `SELECT count(*) AS rows, count(DISTINCT event_id) AS events FROM '${folder}/*.parquet'`
  const [[rows, events]] = (await connection.runAndReadAll(sql)).getRows()
  connection.closeSync()
  return { rows: Number(rows), events: Number(events) }
}

/** Checks that the image is small and contains only what runs. */
async function checkImage(): Promise<void> {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { dev?: true }>
  }
  const packages = Object.keys(lock.packages).filter((path) => lock.packages[path].dev)
  const unwanted = [
    ...packages.map((path) => `/app/${path}`),
    '/app/training',
    '/app/test',
    '/app/tools',
    '/app/src',
    '/app/bench',
    '/app/web/node_modules',
  ]
  const script = `ls -d ${unwanted.join(' ')} 2>/dev/null; find /app -name '*.py' -o -name '*.ts' -o -name '*.test.*' -o -name '*.map'`
  const found = await docker('run', '--rm', '--entrypoint', 'sh', 'nustream', '-c', `${script}; true`)
  if (found.trim() !== '') throw new Error(`the image contains files that do not run:\n${found}`)
  const layers = await docker(
    'history',
    '--no-trunc',
    '--human=false',
    '--format',
    '{{.Size}} {{.CreatedBy}}',
    'nustream',
  )
  const own = layers.split('\n').filter((line) => /COPY|mkdir \/data|chmod 755/.test(line))
  const megabytes = own.reduce((sum, line) => sum + Number.parseInt(line, 10), 0) / 1e6
  if (megabytes > OWN_MAX_MB) throw new Error(`the image adds ${megabytes.toFixed(0)} MB to its base`)
  say(
    `the image adds ${megabytes.toFixed(0)} MB to its base; no development package, test, training or TypeScript is in it`,
  )
}

/** Checks that our containers run with the restrictions of the Compose files. */
async function checkHardening(project: ComposeProject): Promise<void> {
  const format =
    '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}'
  for (const service of OURS) {
    const seen = await project.inspect(service, format)
    if (seen !== '1000:1000 true [ALL] [no-new-privileges:true]')
      throw new Error(`${service} runs as ${seen}`)
    const id = await project.exec(service, 'id', '-u')
    if (id.trim() !== '1000') throw new Error(`${service} has user ${id}`)
  }
  say('all of our containers: user 1000, read-only root, no capabilities, no new privileges')
}

/** Checks that Prometheus reaches every process. Node of the display asks, since Prometheus's image has no client. */
async function checkTargets(project: ComposeProject): Promise<void> {
  const script =
    "const { data } = await (await fetch('http://prometheus:9090/api/v1/targets')).json(); console.log(JSON.stringify(data.activeTargets.map((t) => [t.labels.instance, t.health])))"
  const allUp = async () => {
    const text = await project.exec('display', 'node', '--input-type=module', '-e', script)
    const targets = JSON.parse(text) as [string, string][]
    return targets.length > 0 && targets.every(([, health]) => health === 'up') ? targets : undefined
  }
  const targets = await until(allUp, {
    withinMs: 60_000,
    everyMs: 1_000,
    what: 'targets that are all up',
    signal,
    notYet: isAway,
  })
  say(`Prometheus scrapes ${targets.map(([instance]) => instance).join(', ')}`)
}

/** Checks that MLflow has the finished run of the consumer that was stopped normally, with metrics. */
async function checkRuns(project: ComposeProject): Promise<void> {
  const script = `
    const url = 'http://mlflow:5000/api/2.0/mlflow'
    const found = await (await fetch(url + '/experiments/get-by-name?experiment_name=nustream')).json()
    const body = JSON.stringify({ experiment_ids: [found.experiment.experiment_id] })
    const headers = { 'content-type': 'application/json' }
    const { runs } = await (await fetch(url + '/runs/search', { method: 'POST', headers, body })).json()
    console.log(JSON.stringify(runs.map(({ info, data }) => [info.status, data.metrics?.length ?? 0])))`
  const runs = JSON.parse(await project.exec('consumer', 'node', '--input-type=module', '-e', script)) as [
    string,
    number,
  ][]
  const finished = runs.filter(([status, metrics]) => status === 'FINISHED' && metrics > 0)
  if (finished.length === 0)
    throw new Error(`MLflow holds no finished run with metrics: ${JSON.stringify(runs)}`)
  say(`MLflow holds ${runs.length} runs of consumers; ${finished.length} finished normally, with metrics`)
}

/** Checks that cube 2 reaches cube 1 only by TLS with the password, through the published port. */
async function checkDoor(cube1: ComposeProject, cube2: ComposeProject): Promise<void> {
  const doctor = (words: readonly string[]) =>
    cube2
      // The findings of doctor about MLflow are ignored here.
      .exec(
        'consumer',
        'env',
        'NUSTREAM_MLFLOW=',
        ...words.slice(0, -1),
        'nustream',
        'doctor',
        '--broker',
        words.at(-1) ?? '',
      )
      .then(
        () => true,
        () => false,
      )
  const url = `rediss://cube1:${cube2.options.env['REDIS_PORT']}`
  const network = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
  const inside = await cube1.inspect('redis', network)
  const tries = {
    'with TLS and password': [await doctor([url]), true],
    'with a wrong password': [await doctor(['NUSTREAM_BROKER_PASSWORD=wrong', url]), false],
    'without the authority': [await doctor(['NUSTREAM_BROKER_CA=', url]), false],
    'without TLS': [await doctor([url.replace('rediss', 'redis')]), false],
    'past the published port': [await doctor([`rediss://${inside}:6379`]), false],
  } as const
  signal.throwIfAborted()
  for (const [what, [seen, wanted]] of Object.entries(tries))
    if (seen !== wanted) throw new Error(`cube 2 ${seen ? 'reached' : 'did not reach'} Redis ${what}`)
  say('cube 2 reaches Redis with TLS and password only; four other ways are refused')
}

/** Checks that no password is in container settings, logs or the image. */
async function checkSecrets(projects: readonly ComposeProject[], secrets: string): Promise<void> {
  const { brokerPassword } = JSON.parse(readFileSync(join(secrets, 'cube1/broker.json'), 'utf8')) as {
    brokerPassword: string
  }
  for (const project of projects) {
    for (const id of await project.containers()) {
      const text = (await docker('inspect', id)) + (await docker('logs', id))
      if (text.includes(brokerPassword)) throw new Error(`container ${id} exposes the password of Redis`)
    }
  }
  say('no container exposes the password in its settings or log')
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
