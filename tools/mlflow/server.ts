import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { ensureMlflow, QUIET_MLFLOW } from './environment.ts'

export interface MlflowServerOptions {
  /** Folder of database and artefacts; a server with the same folder continues with its data. */
  readonly dir: string
  /** Default: any free port. */
  readonly port?: number
  /** Additional arguments of `mlflow server`. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface MlflowServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Folder of `mlflow.db` and `artifacts`. */
  readonly dir: string
  /** The end of its output. */
  log(): string
  /** Ends it and its workers at once and waits until they are gone. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again on the same port and data, and waits until it answers. */
  restart(): Promise<void>
}

/** MLflow imports for half a minute on a busy machine, and creates its tables at the first start. */
const READY_WITHIN_MS = 300_000
const LOG_CHARACTERS_MAX = 20_000

/**
 * Starts a real MLflow tracking server on loopback that stores in SQLite and serves its artefacts. It ends with this
 * process.
 * @throws Error if MLflow is not available (also with NUSTREAM_TEST_OFFLINE=1) or does not start
 */
export async function startMlflowServer(options: MlflowServerOptions): Promise<MlflowServer> {
  const program = await ensureMlflow()
  if (program === undefined)
    throw new Error('MLflow is not installed, and NUSTREAM_TEST_OFFLINE=1 prevents its installation')
  const server = new Server(program, options, options.port ?? (await freePort()))
  await server.restart()
  return server
}

class Server implements MlflowServer {
  readonly port: number
  readonly #program: string
  readonly #options: MlflowServerOptions
  readonly #killOnExit = () => this.#signal('SIGKILL')
  #child: ChildProcess | undefined
  #log = ''

  constructor(program: string, options: MlflowServerOptions, port: number) {
    this.#program = program
    this.#options = options
    this.port = port
    process.once('exit', this.#killOnExit)
  }

  get dir(): string {
    return this.#options.dir
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  log(): string {
    return this.#log
  }

  async restart(): Promise<void> {
    const { dir, args = [], env = {} } = this.#options
    const where = ['--host', '127.0.0.1', '--port', String(this.port), '--workers', '1']
    const store = ['--backend-store-uri', `sqlite:///${join(dir, 'mlflow.db')}`]
    const files = ['--artifacts-destination', join(dir, 'artifacts')]
    // A separate process group: the program starts workers, which would outlive it if only the program were killed.
    const child = spawn(this.#program, ['server', ...where, ...store, ...files, ...args], {
      cwd: dir,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...QUIET_MLFLOW, ...env },
    })
    this.#child = child
    const keep = (chunk: Buffer) => {
      this.#log = `${this.#log}${chunk}`.slice(-LOG_CHARACTERS_MAX)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    await this.#answering(child)
  }

  async #answering(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + READY_WITHIN_MS
    for (;;) {
      const answer = await fetch(`${this.url}/health`, { signal: AbortSignal.timeout(5_000) }).catch(
        () => undefined,
      )
      if (answer?.ok && (await answer.text()) === 'OK') return
      if (child.exitCode !== null)
        throw new Error(`mlflow server ended with ${child.exitCode}:\n${this.#log}`)
      if (performance.now() > deadline) {
        await this.kill()
        throw new Error(`mlflow server was not ready after ${READY_WITHIN_MS} ms:\n${this.#log}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'close')
    this.#signal(signal)
    await ended
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch {
      // It has ended already.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    process.off('exit', this.#killOnExit)
  }
}
