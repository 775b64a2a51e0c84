import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { buildPage, ensurePage } from './setup/page.ts'
import { bin, node, note, ROOT, SetupError } from './setup/process.ts'
import { ensureProgram, ensurePrometheus } from './setup/programs.ts'
import { checkTypes, lint, runSuite, vitest } from './suite/suite.ts'

type Task = (args: readonly string[]) => Promise<number>

/** The tasks of the npm scripts; each returns its exit code. */
const TASKS: Readonly<Record<string, Task>> = {
  start: (args) => withPage(['up', ...args]),
  nustream: (args) => (args[0] === 'up' || args[0] === 'display' ? withPage(args) : nustream(args)),
  check: async () => (await lint()) || (await checkTypes()) || vitest(['--project', 'unit']),
  test: (args) => (args.length > 0 ? vitest(args) : runSuite()),
  compare: (args) => node([join(ROOT, 'tools/compare/main.ts'), ...args], { cwd: startedIn() }),
  alarms,
  chaos: (args) => node(['tools/trials/chaos.ts', ...args]),
  containers: (args) => watched('tools/trials/containers.ts', args, ROOT),
  bench,
  cubes,
  build,
}

/** Runs a task by name; returns its exit code. Errors of the setup go to stderr as one sentence. */
export async function runTask(name = 'help', args: readonly string[] = []): Promise<number> {
  if (!Object.hasOwn(TASKS, name)) {
    note(`unknown task "${name}"; expected one of ${Object.keys(TASKS).join(', ')}`)
    return 2
  }
  try {
    return await TASKS[name](args)
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    note(error.message)
    return error.exitCode
  }
}

/** The stream does not need the page: it runs even if the page cannot be built. */
async function withPage(args: readonly string[]): Promise<number> {
  await tryPage()
  return await nustream(args)
}

async function tryPage(): Promise<void> {
  if ((await ensurePage()) !== 0) note('the page could not be built; continuing without it')
}

function nustream(args: readonly string[]): Promise<number> {
  return node([join(ROOT, 'src/cli/main.ts'), ...args], { cwd: startedIn() })
}

/** The folder where the user called npm: paths on the command line are relative to it. */
function startedIn(): string {
  return process.env['INIT_CWD'] ?? ROOT
}

/** Runs both cubes as processes of this machine; installs their requirements first. */
async function cubes(args: readonly string[]): Promise<number> {
  if (!args.includes('--help')) {
    await ensureProgram('redis-server')
    await ensurePrometheus()
    await tryPage()
  }
  return await watched('tools/cubes/main.ts', args, startedIn())
}

/** Produces the cause of every alert, with Redis and Prometheus. */
async function alarms(args: readonly string[]): Promise<number> {
  await ensureProgram('redis-server')
  await ensurePrometheus()
  return await watched('tools/alarms/main.ts', args, ROOT)
}

async function bench([name = '', ...args]: readonly string[]): Promise<number> {
  const names = readdirSync(join(ROOT, 'bench'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3))
  if (!names.includes(name))
    throw new SetupError(`usage: npm run bench -- NAME, one of: ${names.join(', ')}`, 2)
  if (name === 'server') await ensureProgram('wrk')
  if (name === 'display-page') {
    await ensureProgram('chromium')
    if ((await ensurePage()) !== 0) return 1
  }
  if (['processes', 'broker', 'display', 'display-page', 'latency'].includes(name))
    await ensureProgram('redis-server')
  return await node([`bench/${name}.ts`, ...args])
}

/** JavaScript and declarations for the tarball (Node strips no types below node_modules), and the page. */
async function build(): Promise<number> {
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
  const status = await bin('typescript', 'tsc', ['-p', 'tsconfig.build.json'])
  if (status !== 0) return status
  // The scripts of Redis are files that TypeScript does not copy (the Dockerfile does the same).
  const isScript = (path: string) => path.endsWith('.lua') || statSync(path).isDirectory()
  const [from, to] = ['src/broker/redis/scripts', 'dist/broker/redis/scripts']
  cpSync(join(ROOT, from), join(ROOT, to), { recursive: true, filter: isScript })
  return await buildPage()
}

/**
 * Runs a program whose processes must not outlive the user's npm: this process ends when npm ends, and the program ends
 * when this process ends (stop-signal.ts).
 */
function watched(script: string, args: readonly string[], cwd: string): Promise<number> {
  const npmPid = process.env['npm_lifecycle_event'] ? starterPid() : undefined
  if (npmPid !== undefined) setInterval(() => isAlive(npmPid) || process.exit(1), 500).unref()
  return node([join(ROOT, script), ...args], { cwd, env: { NUSTREAM_STOP_WITH_PARENT: '1' } })
}

/** The npm process that started this one, possibly with a shell in between. */
function starterPid(): number | undefined {
  // run.mjs may have restarted itself on another Node.
  const parent = Number(process.env['NUSTREAM_STARTER_PID'] || process.ppid)
  const ask = (field: string) =>
    execFileSync('ps', ['-o', `${field}=`, '-p', String(parent)], { encoding: 'utf8' })
  try {
    return /^(?:\S*\/)?\w*sh -c /.test(ask('args')) ? Number(ask('ppid')) : parent
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
