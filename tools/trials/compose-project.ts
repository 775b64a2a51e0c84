import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { until } from '../../test/support/until.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const COMMAND_WITHIN_MS = 1_800_000

export interface ProjectOptions {
  /** Command of Compose: `['docker', 'compose']` or `['docker-compose']`. */
  readonly tool: readonly string[]
  readonly project: string
  /** Path of the Compose file from the root of the repository. */
  readonly file: string
  readonly env: Readonly<Record<string, string>>
  /** Aborts everything in progress except `remove`. */
  readonly signal?: AbortSignal
}

/** The broker's counts of events by fate. */
export interface Totals {
  readonly emitted: number
  readonly predicted: number
  readonly deadLettered: number
}

/**
 * Runs a program to its end and returns its stdout. The program has its own process group: Ctrl-C in the terminal reaches
 * only the trial, which ends its programs by `signal`.
 * @throws Error with its stderr if it fails, and the signal's reason if it aborts
 */
export async function output(
  command: string,
  args: readonly string[],
  { env = {}, signal }: { env?: Readonly<Record<string, string>>; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  signal?.throwIfAborted()
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const end = () => endGroup(child.pid)
  const timer = setTimeout(end, COMMAND_WITHIN_MS)
  signal?.addEventListener('abort', end)
  try {
    const texts = [text(child.stdout), text(child.stderr)] as const
    const [status, by] = (await once(child, 'close')) as [number | null, string | null]
    signal?.throwIfAborted()
    const [stdout, stderr] = await Promise.all(texts)
    if (status === 0) return stdout
    const shown = `${command} ${args.join(' ').slice(0, 200)}`
    throw new Error(`${shown} failed (${status ?? by}): ${stderr.slice(-2000)}`)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', end)
  }
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGTERM')
  } catch {
    // It has ended by itself.
  }
}

/** Operates the services of one Compose file. */
export class ComposeProject {
  readonly options: ProjectOptions

  constructor(options: ProjectOptions) {
    this.options = options
  }

  compose(...args: string[]): Promise<string> {
    return this.#compose(args, this.options.signal)
  }

  #compose(args: readonly string[], signal?: AbortSignal): Promise<string> {
    const { tool, project, file, env } = this.options
    const [program, ...words] = tool
    return output(program, [...words, '-p', project, '-f', file, ...args], { env, signal })
  }

  docker(...args: string[]): Promise<string> {
    return output('docker', args, { signal: this.options.signal })
  }

  /** Every container of the project, running or not. */
  async containers(): Promise<readonly string[]> {
    const label = `label=com.docker.compose.project=${this.options.project}`
    return (await this.docker('ps', '-aq', '--filter', label)).split('\n').filter(Boolean)
  }

  async container(service: string): Promise<string> {
    const labels = [`project=${this.options.project}`, `service=${service}`]
    const filters = labels.flatMap((label) => ['--filter', `label=com.docker.compose.${label}`])
    const [id] = (await this.docker('ps', '-aq', ...filters)).split('\n').filter(Boolean)
    if (id === undefined) throw new Error(`${this.options.project} has no container of ${service}`)
    return id
  }

  async inspect(service: string, format: string): Promise<string> {
    return (await this.docker('inspect', '-f', format, await this.container(service))).trim()
  }

  async exec(service: string, ...command: string[]): Promise<string> {
    return await this.docker('exec', await this.container(service), ...command)
  }

  /** Resolves when Docker reports all of them healthy. */
  async healthy(services: readonly string[], withinMs = 300_000): Promise<void> {
    const { signal } = this.options
    for (const service of services) {
      const isHealthy = async () => (await this.inspect(service, '{{.State.Health.Status}}')) === 'healthy'
      await until(isHealthy, { withinMs, everyMs: 500, what: `a healthy ${service}`, signal }).catch(
        async (cause: unknown) => {
          const logs = await this.docker('logs', '--tail', '20', await this.container(service))
          const health = await this.inspect(service, '{{json .State}}')
          throw new Error(`${service} is not healthy: ${health.slice(-600)}\n${logs}`, { cause })
        },
      )
    }
  }

  /** The broker's counts, read from the consumer's metrics. */
  async totals(): Promise<Totals> {
    const script = "console.log(await (await fetch('http://127.0.0.1:9102/metrics')).text())"
    const text = await this.exec('consumer', 'node', '--input-type=module', '-e', script)
    const fate = (name: string) => {
      const value = new RegExp(`^nustream_broker_events\\{.*fate="${name}".*\\} (\\S+)`, 'm').exec(text)?.[1]
      if (value === undefined) throw new Error(`the consumer counts no "${name}" events yet`)
      return Number(value)
    }
    return { emitted: fate('emitted'), predicted: fate('predicted'), deadLettered: fate('dead_lettered') }
  }

  /** Stops all services and removes containers, networks and volumes, even after the signal has aborted. */
  async remove(): Promise<void> {
    await this.#compose(['down', '-v', '--remove-orphans', '-t', '5'])
  }
}
