import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'

/** Owner of a resource: a vitest test context, or any object with its `onTestFinished`. */
export interface Owner {
  onTestFinished(cleanup: () => Promise<void>): unknown
}

export interface StartRedisOptions {
  /** More arguments of redis-server, such as `['--maxmemory', '10mb']`; a later one wins. */
  readonly args?: readonly string[]
  /** Serve TLS only: the caller gives the certificate through `args`, and the URL begins with `rediss:`. */
  readonly tls?: boolean
}

export interface RedisServer extends AsyncDisposable {
  readonly host: '127.0.0.1'
  readonly port: number
  /** `redis://127.0.0.1:PORT`, without credentials. */
  readonly url: string
  /** Folder of its append-only file. */
  readonly dir: string
  /** Its log so far. */
  log(): string
  /** Sends SIGKILL and waits for the process to be gone. */
  kill9(): Promise<void>
  /** Starts it again on the same port and data, and waits until it accepts commands. */
  restart(): Promise<void>
  /** SIGSTOP and SIGCONT: a server that accepts connections but does not answer. */
  pause(): void
  resume(): void
  /** Ends the server and removes its data. Idempotent. */
  stop(): Promise<void>
}

const READY_WITHIN_MS = 20_000

/**
 * Starts a real redis-server on a free loopback port with an append-only file in a folder of its own, which is
 * written before a command is answered (`appendfsync always`), so that SIGKILL loses nothing that was answered.
 * Without `owner` the caller stops it. The server also ends with this process.
 * @throws Error in one sentence when redis-server is missing
 */
export async function startRedis(owner?: Owner, options: StartRedisOptions = {}): Promise<RedisServer> {
  requireRedisServer()
  const server = new OwnRedis(mkdtempSync(join(tmpdir(), 'nustream-redis-')), options)
  owner?.onTestFinished(() => server.stop())
  await server.startOnFreePort()
  return server
}

function requireRedisServer(): void {
  const { error } = spawnSync('redis-server', ['--version'])
  if (error) {
    throw new Error(
      'redis-server is not on the PATH; install it with `apt-get install redis-server` (Debian) or `brew install redis`',
      { cause: error },
    )
  }
}

class OwnRedis implements RedisServer {
  readonly host = '127.0.0.1'
  readonly dir: string
  port = 0
  readonly #options: StartRedisOptions
  readonly #killOnExit = () => this.#child?.kill('SIGKILL')
  #child: ChildProcess | undefined
  #log = ''

  constructor(dir: string, options: StartRedisOptions) {
    this.dir = dir
    this.#options = options
    process.once('exit', this.#killOnExit)
  }

  get url(): string {
    return `${this.#options.tls ? 'rediss' : 'redis'}://${this.host}:${this.port}`
  }

  log(): string {
    return this.#log
  }

  /** Another process can take the free port before redis-server does, hence the tries. */
  async startOnFreePort(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.port = await freePort()
      try {
        return await this.restart()
      } catch (error) {
        if (attempt === 5 || !this.#log.includes('Address already in use')) throw error
        this.#log = ''
      }
    }
  }

  async restart(): Promise<void> {
    const { args = [], tls = false } = this.#options
    const ports = tls ? ['--port', '0', '--tls-port', `${this.port}`] : ['--port', `${this.port}`]
    const fixed = ['--bind', this.host, '--dir', this.dir, '--save', '', '--appendonly', 'yes']
    const child = spawn('redis-server', [...ports, ...fixed, '--appendfsync', 'always', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    await this.#accepting(child)
  }

  /** Waits for the line in Redis's log that follows loading its data; it also works with TLS and passwords. */
  async #accepting(child: ChildProcess): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let seen = ''
    const listen = (chunk: Buffer) => {
      this.#log += chunk
      seen += chunk
      if (seen.includes('Ready to accept connections')) resolve()
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`redis-server ended with code ${code}:\n${seen}`)))
    const timer = setTimeout(
      () => reject(new Error(`redis-server was not ready after ${READY_WITHIN_MS} ms:\n${seen}`)),
      READY_WITHIN_MS,
    )
    try {
      await promise
    } finally {
      clearTimeout(timer)
    }
  }

  async kill9(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    process.off('exit', this.#killOnExit)
    await this.kill9()
    rmSync(this.dir, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
