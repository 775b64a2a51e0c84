import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'
import { runPython } from './python.ts'
import type { Owner } from './redis.ts'
import { isUnreachable, until } from './until.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const requirements = join(root, 'test/support/mlserver-requirements.txt')
const environment = join(root, '.tools/mlserver')
const INSTALL_WITHIN_MS = 1_200_000
const READY_WITHIN_MS = 120_000

export interface MlServer {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  /** Kills it, like a power failure. */
  kill9(): Promise<void>
  restart(): Promise<void>
}

/**
 * A real MLServer with the runtime of examples/mlserver that serves a model folder, in a separate environment that is
 * created if it is missing. Undefined only if NUSTREAM_TEST_OFFLINE=1 and there is no environment.
 */
export async function startMlServer(owner: Owner, model: { folder: string; name: string; version: string }) {
  if (!isInstalled()) {
    if (process.env['NUSTREAM_TEST_OFFLINE'] === '1') return undefined
    await install()
  }
  const dir = mkdtempSync(join(tmpdir(), 'nustream-mlserver-'))
  owner.onTestFinished(async () => rmSync(dir, { recursive: true, force: true }))
  copyFileSync(join(root, 'examples/mlserver/onnx_model.py'), join(dir, 'onnx_model.py'))
  const { name, version, folder: uri } = model
  const settings = { name, implementation: 'onnx_model.OnnxModel', parameters: { uri, version } }
  writeFileSync(join(dir, 'model-settings.json'), JSON.stringify(settings))
  const [http, grpc, metrics] = [await freePort(), await freePort(), await freePort()]
  const ports = { host: '127.0.0.1', http_port: http, grpc_port: grpc, metrics_port: metrics }
  writeFileSync(join(dir, 'settings.json'), JSON.stringify({ ...ports, parallel_workers: 1 }))
  const server = new OwnMlServer(dir, `http://127.0.0.1:${http}`, name)
  owner.onTestFinished(() => server.kill9())
  await server.restart()
  return server
}

class OwnMlServer implements MlServer {
  readonly url: string
  readonly #dir: string
  readonly #model: string
  #child: ChildProcess | undefined
  #log = ''

  constructor(dir: string, url: string, model: string) {
    this.#dir = dir
    this.url = url
    this.#model = model
  }

  async restart(): Promise<void> {
    const command = join(environment, 'bin/mlserver')
    // A separate process group, so that its workers end with it.
    // In a separate folder: it writes files of metrics into its working folder.
    const child = spawn(command, ['start', this.#dir], {
      cwd: this.#dir,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const listen = (chunk: Buffer) => {
      this.#log = `${this.#log}${chunk}`.slice(-4_000)
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    const isReady = async () => {
      if (child.exitCode !== null) throw new Error(`mlserver ended with ${child.exitCode}`)
      return (await fetch(`${this.url}/v2/models/${this.#model}/ready`)).ok
    }
    const how = { withinMs: READY_WITHIN_MS, everyMs: 200, what: 'MLServer', notYet: isUnreachable }
    await until(isReady, how).catch((cause: unknown) => {
      throw new Error(`MLServer did not become ready:\n${this.#log}`, { cause })
    })
  }

  async kill9(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    process.kill(-child.pid, 'SIGKILL')
    await gone
  }
}

function digest(): string {
  return createHash('sha256').update(readFileSync(requirements)).digest('hex')
}

function isInstalled(): boolean {
  const marker = join(environment, '.requirements')
  return existsSync(marker) && readFileSync(marker, 'utf8') === digest()
}

async function install(): Promise<void> {
  mkdirSync(join(root, '.tools'), { recursive: true })
  const pip = [
    '-m',
    'pip',
    'install',
    '-q',
    '--no-compile',
    '--disable-pip-version-check',
    '-r',
    requirements,
  ]
  await runPython('python3', ['-m', 'venv', environment], { withinMs: INSTALL_WITHIN_MS })
  await runPython(join(environment, 'bin/python'), pip, { withinMs: INSTALL_WITHIN_MS })
  writeFileSync(join(environment, '.requirements'), digest())
}
