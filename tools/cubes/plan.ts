import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { QUIET_MLFLOW } from '../mlflow/environment.ts'
import type { CubesOptions } from './options.ts'
import type { PartPlan } from './part.ts'
import type { Listener, Ports } from './ports.ts'
import { prometheusCommand } from './prometheus.ts'

/** Redis writes to disk before it answers, so that a kill loses nothing that it has confirmed. */
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction']
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export type PartName = Listener
export type Plans = Readonly<Record<PartName, PartPlan>>

export interface PlanInput {
  readonly options: CubesOptions
  readonly ports: Ports
  /** Absolute; has `logs/`, `redis/`, `mlflow/` and `prometheus/`. */
  readonly folder: string
  /** Name of the run: a restarted emitter resumes where it stopped. */
  readonly run: string
  /** Path of the `mlflow` program; undefined to run without MLflow. */
  readonly mlflowProgram: string | undefined
}

/** All processes of both cubes. Those of nustream are roles of its command line. */
export function planParts(input: PlanInput): Plans {
  const { options, ports, folder, run, mlflowProgram } = input
  const broker = `redis://127.0.0.1:${ports.redis}`
  const url = (name: Listener) => `http://127.0.0.1:${ports[name]}`
  const role = (name: Listener, cube: 1 | 2, args: readonly string[]): PartPlan => ({
    name,
    cube,
    command: [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      MAIN,
      ...args,
      ...['--broker', broker, '--port', `${ports[name]}`, '--name', `cube${cube}`],
    ],
    cwd: process.cwd(),
    logFile: join(folder, 'logs', `${name}.log`),
    address: url(name),
    isReady: () => answers(`${url(name)}/health`),
  })
  const tracking = mlflowProgram
    ? ['--mlflow', url('mlflow'), '--mlflow-interval-ms', '5000', '--mlflow-files-ms', '60000']
    : []
  // A registry model comes from the same MLflow.
  const registry = options.model.startsWith('models:') ? tracking.slice(0, 2) : []
  const events = options.events === undefined ? [] : ['--events', `${options.events}`]
  const emit = ['emit', '--source', options.source, '--rate', options.rate, '--run', run, ...events, '--json']
  return {
    redis: redisPlan(ports.redis, folder),
    emitter: { ...role('emitter', 1, emit), mayEnd: true },
    server: role('server', 2, ['serve', '--model', options.model, ...registry]),
    consumer: role('consumer', 2, ['consume', '--model', url('server'), ...tracking, '--json']),
    archive: role('archive', 2, ['archive', '--out', join(folder, 'predictions')]),
    display: role('display', 2, ['display']),
    mlflow: mlflowPlan(mlflowProgram ?? 'mlflow', ports.mlflow, folder),
    prometheus: {
      name: 'prometheus',
      cube: 2,
      command: prometheusCommand(folder, ports.prometheus),
      cwd: folder,
      logFile: join(folder, 'logs', 'prometheus.log'),
      address: url('prometheus'),
      isReady: () => answers(`${url('prometheus')}/-/ready`),
    },
  }
}

function redisPlan(port: number, folder: string): PartPlan {
  const dir = join(folder, 'redis')
  const flags = ['--bind', '127.0.0.1', '--port', `${port}`, '--dir', dir, '--save', '']
  return {
    name: 'redis',
    cube: 1,
    command: ['redis-server', ...flags, ...DURABLE],
    cwd: dir,
    logFile: join(folder, 'logs', 'redis.log'),
    address: `redis://127.0.0.1:${port}`,
    isReady: () => pings(port),
  }
}

function mlflowPlan(program: string, port: number, folder: string): PartPlan {
  const dir = join(folder, 'mlflow')
  const where = ['--host', '127.0.0.1', '--port', `${port}`, '--workers', '1']
  const store = ['--backend-store-uri', `sqlite:///${join(dir, 'mlflow.db')}`]
  return {
    name: 'mlflow',
    cube: 2,
    command: [
      resolve(program),
      'server',
      ...where,
      ...store,
      '--artifacts-destination',
      join(dir, 'artifacts'),
    ],
    env: QUIET_MLFLOW,
    cwd: dir,
    logFile: join(folder, 'logs', 'mlflow.log'),
    address: `http://127.0.0.1:${port}`,
    isReady: () => answers(`http://127.0.0.1:${port}/health`),
  }
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
  await response.body?.cancel()
  return response.ok
}

/** Redis answers PING with success only after its data is loaded. */
function pings(port: number): Promise<boolean> {
  return new Promise((done, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 2_000 }, () => socket.write('PING\r\n'))
    socket.once('data', (chunk) => {
      socket.destroy()
      done(chunk.toString().startsWith('+PONG'))
    })
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
    socket.once('error', reject)
  })
}
