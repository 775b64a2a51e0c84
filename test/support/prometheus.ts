import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from './broker-backends.ts'
import { freePort } from './free-port.ts'
import type { Owner } from './redis.ts'
import { isUnreachable, until } from './until.ts'

const UNPACKED = fileURLToPath(new URL('../../.tools/debian/usr/bin', import.meta.url))
const PAGES = fileURLToPath(new URL('../../.tools/debian/usr/share/prometheus/web', import.meta.url))

/** Path of a program of Prometheus: on the PATH, or unpacked by `npm test` and `npm run cubes`. */
export function prometheusProgram(name: 'prometheus' | 'promtool' | 'amtool'): string {
  if (!spawnSync(name, ['--version']).error) return name
  const path = join(UNPACKED, name)
  if (existsSync(path)) return path
  throw new Error(`${name} is missing; \`npm test\` and \`npm run cubes\` fetch it on Debian`)
}

/** Runs a program of Prometheus to its end. */
export function runPrometheusProgram(name: 'promtool' | 'amtool', args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(prometheusProgram(name), args, { encoding: 'utf8' })
  return { status, output: `${stdout}${stderr}` }
}

export interface Target {
  /** HOST:PORT. */
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  /** Unix seconds and the value as text. */
  readonly value: readonly [number, string]
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly state: 'pending' | 'firing'
}

export interface PrometheusServer {
  readonly url: string
  /** Current values. @throws Error if Prometheus refuses the query */
  query(expression: string): Promise<Sample[]>
  /** GET of its HTTP API, without `/api/v1/`; the `data` of the answer. */
  get(path: string): Promise<unknown>
  alerts(): Promise<Alert[]>
  /** Replaces the list of targets; Prometheus reads it within seconds. */
  setTargets(targets: readonly Target[]): void
  log(): string
}

export interface StartPrometheusOptions {
  /** Text of prometheus.yml. */
  readonly config: string
  /** Rule files by name, put into `rules/`. */
  readonly rules: Readonly<Record<string, string>>
  readonly targets: readonly Target[]
}

/** A real Prometheus on a free port with a temporary store; it ends with the owner. */
export async function startPrometheus(
  owner: Owner,
  options: StartPrometheusOptions,
): Promise<PrometheusServer> {
  const folder = temporaryFolder(owner)
  for (const name of ['rules', 'targets']) mkdirSync(join(folder, name))
  writeFileSync(join(folder, 'prometheus.yml'), options.config)
  for (const [name, text] of Object.entries(options.rules)) writeFileSync(join(folder, 'rules', name), text)
  const setTargets = (targets: readonly Target[]) => {
    // JSON is YAML.
    const list = targets.map(({ address, labels }) => ({ targets: [address], labels }))
    writeFileSync(join(folder, 'targets', 'nustream.yml'), JSON.stringify(list))
  }
  setTargets(options.targets)
  const url = `http://127.0.0.1:${await freePort()}`
  const child = spawn(prometheusProgram('prometheus'), flagsOf(folder, url), {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk))
  const killOnExit = () => child.kill('SIGKILL')
  process.once('exit', killOnExit)
  owner.onTestFinished(async () => {
    process.off('exit', killOnExit)
    await end(child)
    rmSync(folder, { recursive: true, force: true })
  })
  const isReady = async () => {
    if (child.exitCode !== null) throw new Error(`prometheus ended with ${child.exitCode}: ${log}`)
    return (await fetch(`${url}/-/ready`)).ok
  }
  await until(isReady, { withinMs: 30_000, everyMs: 50, what: 'Prometheus', notYet: isUnreachable })
  return { ...askFrom(url), url, setTargets, log: () => log }
}

function flagsOf(folder: string, url: string): string[] {
  const flags = [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${new URL(url).host}`,
    '--log.level=warn',
  ]
  if (prometheusProgram('prometheus') !== 'prometheus') flags.push(`--web.local-assets=${PAGES}`)
  return flags
}

function askFrom(url: string) {
  const get = async (path: string) => {
    const response = await fetch(`${url}/api/v1/${path}`, { signal: AbortSignal.timeout(10_000) })
    // The form that Prometheus documents for every answer of its API.
    const answer = (await response.json()) as { status: string; error?: string; data: unknown }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
  return {
    get,
    async query(expression: string) {
      const data = await get(`query?query=${encodeURIComponent(expression)}`)
      return (data as { result: Sample[] }).result
    },
    async alerts() {
      return ((await get('alerts')) as { alerts: Alert[] }).alerts
    },
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
