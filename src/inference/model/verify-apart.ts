import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readAnyManifest, resolveModelFolder } from './folder.ts'
import { type VerifyReport, verifyModel } from './models.ts'

export interface VerifyApartOptions {
  /** The longest that loading and proving may take. Default: 30 s, and 1 s for each 5 MB of the folder's files. */
  readonly withinMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const BASE_MS = 30_000
const BYTES_PER_MS = 5_000
/** The end of what the process printed that goes into the message. */
const PRINTED_MAX = 400

/**
 * As `verifyModel`, in a process of its own, which is killed when the time is up: a network with an endless loop, or one
 * that crashes ONNX Runtime, cannot be stopped otherwise. Both are a problem of the report.
 * @throws the signal's reason when it aborts
 */
export async function verifyApart(spec: string, options: VerifyApartOptions = {}): Promise<VerifyReport> {
  const { signal } = options
  signal?.throwIfAborted()
  const withinMs = options.withinMs ?? (await timeFor(resolveModelFolder(spec)))
  const startMs = performance.now()
  const child = fork(fileURLToPath(import.meta.url), [resolveSpec(spec)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let report: VerifyReport | undefined
  let printed = ''
  let isLate = false
  child.on('message', (message) => {
    // Only the process below sends, and only this.
    report = message as VerifyReport
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    printed = `${printed}${chunk}`.slice(-PRINTED_MAX)
  })
  const kill = (): void => void child.kill('SIGKILL')
  const timer = setTimeout(() => {
    isLate = true
    kill()
  }, withinMs)
  signal?.addEventListener('abort', kill, { once: true })
  const [code, killedBy] = await once(child, 'close').finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', kill)
  })
  if (report !== undefined) return { ...report, spec }
  signal?.throwIfAborted()
  const what = isLate
    ? `gave no answer within ${withinMs / 1000} s: its network may have a loop that does not end, or it needs more time on this machine (--verify-ms)`
    : `ended the process that tried it (${killedBy ?? `exit code ${code}`}): ${printed.trim()}`
  return unsound(spec, performance.now() - startMs, `${spec} ${what}`)
}

/** A folder as a path, which is the same wherever the process runs; any other model as it is. */
function resolveSpec(spec: string): string {
  return spec === 'linefit' ? spec : resolve(resolveModelFolder(spec))
}

/** Time by the size of the model's files; of an ensemble those of its members. */
async function timeFor(folder: string): Promise<number> {
  const sizes = await Promise.all((await foldersOf(folder)).map(bytesBelow))
  return BASE_MS + Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / BYTES_PER_MS)
}

async function foldersOf(folder: string): Promise<string[]> {
  // What is wrong with the manifest is for the report to say.
  const read = await readAnyManifest(folder).catch(() => undefined)
  if (read?.kind !== 'ensemble') return [folder]
  return read.manifest.members.map((member) => resolve(folder, member.folder))
}

async function bytesBelow(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function unsound(spec: string, loadMs: number, message: string): VerifyReport {
  const nothing = { name: undefined, version: undefined, parity: undefined, warnings: [] }
  return { spec, isSound: false, ...nothing, loadMs, problem: { code: 'model_unreadable', message } }
}

if (import.meta.main) {
  // The parent is gone. A thread inside of ONNX Runtime would hold up an ordinary exit.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  const report = await verifyModel(process.argv[2])
  process.send?.(report, () => process.kill(process.pid, 'SIGKILL'))
}
