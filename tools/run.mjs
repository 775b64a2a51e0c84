// Starts every npm script: installs Node 24 and the npm packages if they are missing, then runs the task (tasks.ts).
// Plain JavaScript that older versions of Node can run, because an older Node may start it.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR = 24
const NPM_FLAGS = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error']
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')

if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR) process.exit(await runOnFetchedNode())
await ensurePackages()
// Imported only here, since it needs a Node that runs TypeScript.
const { runTask } = await import('./tasks.ts')
process.exit(await runTask(process.argv[2], process.argv.slice(3)))

/** Downloads Node 24 from the npm registry into .tools if it is missing, and restarts this script with it. */
async function runOnFetchedNode() {
  const isWindows = process.platform === 'win32'
  const name = `node-${isWindows ? 'win' : process.platform}-${process.arch}`
  const prefix = join(root, '.tools')
  const path = join(prefix, 'node_modules', name, 'bin', isWindows ? 'node.exe' : 'node')
  if (!existsSync(path)) {
    note(`Node ${process.versions.node} is too old: downloading Node ${NODE_MAJOR} into .tools`)
    mkdirSync(prefix, { recursive: true })
    await npm(['install', '--prefix', prefix, '--ignore-scripts', ...NPM_FLAGS, `${name}@${NODE_MAJOR}`])
    if (!existsSync(path)) {
      note(
        `Node ${NODE_MAJOR} could not be downloaded (npm package ${name}): install Node ${NODE_MAJOR} and try again`,
      )
      return 1
    }
  }
  const starter = process.env.NUSTREAM_STARTER_PID || String(process.ppid)
  return await run(path, process.argv.slice(1), { NUSTREAM_STARTER_PID: starter }, 'inherit')
}

/** Installs the locked packages when the lock file has changed since the last time. */
async function ensurePackages() {
  const marker = join(root, 'node_modules', '.nustream-lock')
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return
  note('installing packages')
  // Not `npm ci`: it refuses a lock file without the binaries of other platforms.
  if ((await npm(['install', ...NPM_FLAGS])) !== 0) {
    note('npm could not install the packages')
    process.exit(1)
  }
  writeFileSync(marker, wanted)
}

/** Runs npm on this Node. ONNX Runtime's install script is kept from downloading CUDA files, which a CPU does not need. */
function npm(flags) {
  const cli = process.env.npm_execpath
  const path = `${dirname(process.execPath)}${delimiter}${process.env.PATH}`
  const env = { ONNXRUNTIME_NODE_INSTALL: 'skip', PATH: path }
  // npm's output goes to stderr: stdout belongs to the task.
  return cli ? run(process.execPath, [cli, ...flags], env, 2) : run('npm', flags, env, 2)
}

/** Runs a program to its end; returns its exit code. */
async function run(command, args, env, stdout) {
  const child = spawn(command, args, {
    cwd: stdout === 2 ? root : undefined,
    stdio: ['inherit', stdout, 'inherit'],
    env: { ...process.env, ...env },
  })
  child.on('error', (error) => {
    note(`${command} could not be started: ${error.message}`)
    process.exit(1)
  })
  // A terminal sends Ctrl-C to the child as well, which then finishes its work: wait for it.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  const [status, signal] = await once(child, 'exit')
  return status ?? (signal === 'SIGINT' ? 130 : signal === 'SIGKILL' ? 137 : 143)
}

function note(text) {
  process.stderr.write(`nustream: ${text}\n`)
}
