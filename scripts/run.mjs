// The door of every npm script: fetches what is missing, then runs the task on Node 24.
// Plain JavaScript that an older Node can run, because it may be what starts it.
import { execFileSync, spawn as spawnChild } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR = 24
/** Seconds to wait for another installation of Debian packages. */
const APT_LOCK_S = 300
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const [task = 'help', ...args] = process.argv.slice(2)

const tasks = {
  start: () => withPage(['up', ...args]),
  nustream: () => (args[0] === 'up' || args[0] === 'display' ? withPage(args) : nustream(args)),
  check: async () => (await lint()) || (await types()) || vitest(['--project', 'unit']),
  test: () => test(),
  chaos: () => node(['test/e2e/chaos.ts', ...args]),
  containers: () => watched('test/e2e/containers.ts', root),
  bench: () => bench(),
  cubes: () => cubes(),
  build: () => build(),
}

const run = tasks[task]
if (!run) stop(`no task "${task}"; there are: ${Object.keys(tasks).join(', ')}`, 2)
const unpacked = join(root, '.tools', 'debian')
const pageMarker = join(root, '.tools', 'page')
let nodePath = process.execPath
nodePath = await ensureNode()
await ensurePackages()
process.exit(await run())

/** Path of a Node of at least the wanted major version: this one, or one fetched from the npm registry. */
async function ensureNode() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return process.execPath
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${platform}-${process.arch}`
  const prefix = join(root, '.tools')
  const path = join(prefix, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!existsSync(path)) {
    note(`Node ${process.versions.node} is too old: fetching Node ${NODE_MAJOR} into .tools`)
    mkdirSync(prefix, { recursive: true })
    const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
    await npm(process.execPath, ['install', '--prefix', prefix, ...flags, `${name}@${NODE_MAJOR}`])
    if (!existsSync(path))
      stop(`Node ${NODE_MAJOR} could not be fetched (npm package ${name}): install it by hand`)
  }
  return path
}

/** Installs the locked packages when the lock file has changed since the last time. */
async function ensurePackages() {
  const marker = join(root, 'node_modules', '.nustream-lock')
  const wanted = digest(join(root, 'package-lock.json'))
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return
  note('installing packages')
  // Not `npm ci`: it refuses a lock file made where the binaries of other platforms could not be looked up.
  const flags = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error']
  if ((await npm(nodePath, ['install', ...flags])) !== 0) stop('npm could not install the packages')
  writeFileSync(marker, wanted)
}

async function test() {
  const vitestReport = join(root, '.tools', 'vitest.json')
  const pytestReport = join(root, '.tools', 'pytest.xml')
  mkdirSync(join(root, '.tools'), { recursive: true })
  for (const report of [vitestReport, pytestReport]) rmSync(report, { force: true })
  if (args.length > 0) return vitest(args)
  await ensureCommand('redis-server', 'redis-server')
  await ensureCommand('chromium', 'chromium')
  await ensurePrometheus()
  await ensurePython()
  if ((await ensurePage()) !== 0) return 1
  if ((await node(['scripts/mlflow-env.ts'])) !== 0) return 1
  const checks = (await lint()) || (await types())
  if (checks !== 0) return checks
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${vitestReport}`]
  const vitestStatus = await vitest(reporters)
  const pytestStatus = await spawn(
    python(),
    ['-m', 'pytest', '-q', '-rs', `--junitxml=${pytestReport}`],
    join(root, 'training'),
  )
  const counts = [vitestCounts(vitestReport), pytestCounts(pytestReport)]
  const passed = counts.reduce((sum, count) => sum + count.passed, 0)
  const failed = counts.reduce((sum, count) => sum + count.failed, 0)
  for (const name of skippedByVitest(vitestReport))
    process.stdout.write(`skipped, as this machine lacks what it needs: ${name}\n`)
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
  return vitestStatus || pytestStatus || (failed > 0 || passed === 0 ? 1 : 0)
}

function vitestCounts(path) {
  if (!existsSync(path)) return { passed: 0, failed: 1 }
  const report = JSON.parse(readFileSync(path, 'utf8'))
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  )
  return { passed: report.numPassedTests, failed: report.numFailedTests + brokenFiles.length }
}

/** pytest names its own with the reason. */
function skippedByVitest(path) {
  if (!existsSync(path)) return []
  return JSON.parse(readFileSync(path, 'utf8')).testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'skipped')
      .map(({ fullName }) => `${relative(root, name)}: ${fullName}`),
  )
}

function pytestCounts(path) {
  if (!existsSync(path)) return { passed: 0, failed: 1 }
  const text = readFileSync(path, 'utf8')
  const number = (name) => Number(new RegExp(`${name}="(\\d+)"`).exec(text)?.[1] ?? 0)
  const failed = number('failures') + number('errors')
  return { passed: number('tests') - failed - number('skipped'), failed }
}

/** Both cubes as processes of this machine (scripts/cubes.ts), with what they need. */
async function cubes() {
  if (!args.includes('--help')) {
    await ensureCommand('redis-server', 'redis-server')
    await ensurePrometheus()
    if ((await ensurePage()) !== 0) note('the page could not be built; going on without it')
  }
  return watched('scripts/cubes.ts', process.env.INIT_CWD ?? root)
}

/** A script that starts what must not outlive whoever asked for it: this watches npm, and the script watches this. */
function watched(script, cwd) {
  const npmPid = process.env.npm_lifecycle_event ? starterPid() : undefined
  if (npmPid !== undefined) setInterval(() => isAlive(npmPid) || process.exit(1), 500).unref()
  process.env.NUSTREAM_DOOR = String(process.pid)
  return node([join(root, script), ...args], cwd)
}

/** The npm that started this, which may have a shell in between. */
function starterPid() {
  const ask = (field) =>
    execFileSync('ps', ['-o', `${field}=`, '-p', String(process.ppid)], { encoding: 'utf8' })
  try {
    return /^(?:\S*\/)?\w*sh -c /.test(ask('args')) ? Number(ask('ppid')) : process.ppid
  } catch {
    return undefined
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function bench() {
  const names = readdirSync(join(root, 'bench'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3))
  const [name, ...rest] = args
  if (!names.includes(name)) stop(`usage: npm run bench -- NAME, one of: ${names.join(', ')}`, 2)
  if (name === 'server') await ensureCommand('wrk', 'wrk')
  if (name === 'display-page') {
    await ensureCommand('chromium', 'chromium')
    if ((await ensurePage()) !== 0) return 1
  }
  if (['processes', 'broker', 'display', 'display-page', 'latency'].includes(name))
    await ensureCommand('redis-server', 'redis-server')
  return node([`bench/${name}.ts`, ...rest])
}

/** JavaScript and declarations for the tarball (Node strips no types below node_modules), and the page. */
async function build() {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  return (await bin('typescript', 'tsc', ['-p', 'tsconfig.build.json'])) || (await buildPage())
}

/** The stream does not need the page: it runs on where the page could not be built. */
async function withPage(flags) {
  if ((await ensurePage()) !== 0) note('the page could not be built; going on without it')
  return nustream(flags)
}

/** Builds the page (web/dist) when what it is made of has changed since the last time. */
async function ensurePage() {
  const wanted = pageDigest()
  const isBuilt = existsSync(join(root, 'web', 'dist', 'index.html'))
  if (isBuilt && existsSync(pageMarker) && readFileSync(pageMarker, 'utf8') === wanted) return 0
  note('building the page')
  return buildPage()
}

async function buildPage() {
  // Whatever the environment says (tests say `test`): otherwise the page would carry React's development build.
  const env = { NODE_ENV: 'production' }
  const status = await bin('vite', 'vite', ['build', '--logLevel', 'error', 'web'], env)
  if (status !== 0) return status
  mkdirSync(dirname(pageMarker), { recursive: true })
  writeFileSync(pageMarker, pageDigest())
  return 0
}

function pageDigest() {
  const hash = createHash('sha256')
  for (const folder of ['web', 'src/event', 'src/display']) {
    const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    for (const path of paths.filter((path) => !path.startsWith(join(root, 'web', 'dist'))).sort())
      hash.update(digest(path))
  }
  return hash.update(digest(join(root, 'package-lock.json'))).digest('hex')
}

function lint() {
  return bin('@biomejs/biome', 'biome', ['check', '.'])
}

/** The page has types of its own: it knows browsers, and nothing of Node. */
async function types() {
  const check = (project) => bin('typescript', 'tsc', ['--noEmit', '-p', project])
  return (await check('.')) || check('web')
}

function vitest(flags) {
  return bin('vitest', 'vitest', ['run', ...flags])
}

function nustream(flags) {
  return node([join(root, 'src/cli/main.ts'), ...flags], process.env.INIT_CWD ?? root)
}

function node(flags, cwd = root) {
  return spawn(nodePath, ['--disable-warning=ExperimentalWarning', ...flags], cwd)
}

function bin(packageName, name, flags, env = {}) {
  const manifest = JSON.parse(readFileSync(join(root, 'node_modules', packageName, 'package.json'), 'utf8'))
  const path = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[name]
  return spawn(nodePath, [join(root, 'node_modules', packageName, path), ...flags], root, env)
}

/** The Python of the tests and of training/, in .venv, with the pinned packages of both. */
async function ensurePython() {
  const lists = ['test/support/requirements.txt', 'training/requirements.txt'].map((path) => join(root, path))
  const wanted = lists.map(digest).join(' ')
  const marker = join(root, '.venv', '.nustream-requirements')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return
  await ensureCommand('python3', 'python3')
  note('making the Python environment of the tests (.venv)')
  if ((await spawn('python3', ['-m', 'venv', '.venv'], root)) !== 0) {
    await install('python3-venv')
    if ((await spawn('python3', ['-m', 'venv', '.venv'], root)) !== 0)
      stop('python3 -m venv failed: install Python 3.11 or later with venv')
  }
  const flags = lists.flatMap((list) => ['-r', list])
  const status = await spawn(
    python(),
    ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...flags],
    root,
  )
  if (status !== 0) stop('pip could not install the Python packages of the tests')
  writeFileSync(marker, wanted)
}

function python() {
  return join(root, '.venv', 'bin', 'python')
}

async function ensureCommand(command, debianPackage) {
  if (isOnPath(command)) return
  await install(debianPackage)
  if (!isOnPath(command))
    stop(
      `${command} is missing and could not be installed: install it (Debian package ${debianPackage}) and try again`,
    )
}

/**
 * Prometheus with promtool and amtool. Debian's packages would start services, which listen for ever, so that they are
 * not installed but unpacked into .tools/debian, which needs no root either.
 */
async function ensurePrometheus() {
  if (['prometheus', 'promtool', 'amtool'].every(isOnPath)) return
  if (!isOnPath('apt-get') || !isOnPath('dpkg-deb'))
    stop('prometheus, promtool or amtool is missing: install Prometheus 2.42 or later and Alertmanager')
  note('unpacking Prometheus into .tools/debian (Debian packages prometheus and prometheus-alertmanager)')
  // The latter for Prometheus's own pages.
  const pages =
    'fonts-glyphicons-halflings libjs-bootstrap4 libjs-d3 libjs-eonasdan-bootstrap-datetimepicker libjs-jquery libjs-jquery-hotkeys libjs-moment libjs-moment-timezone libjs-mustache libjs-popper.js libjs-rickshaw'
  const packages = ['prometheus', 'prometheus-alertmanager', ...pages.split(' ')]
  const folder = join(root, '.tools', 'deb')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const download = () => spawn('apt-get', ['download', '-q', ...packages], folder)
  if ((await download()) !== 0) {
    await spawn('apt-get', ['update', '-q'], root)
    if ((await download()) !== 0)
      stop('the Debian packages of Prometheus could not be fetched: apt-get update, then again')
  }
  for (const file of readdirSync(folder)) await spawn('dpkg-deb', ['-x', file, unpacked], folder)
  rmSync(folder, { recursive: true, force: true })
}

async function install(debianPackage) {
  const isRoot = process.getuid?.() === 0
  if (!isRoot || !isOnPath('apt-get'))
    stop(
      `${debianPackage} is missing: install the package ${debianPackage} (on Debian: sudo apt-get install ${debianPackage})`,
    )
  note(`installing the Debian package ${debianPackage}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await spawn('apt-get', ['update', '-q'], root, env)
  // Another installation may run at the moment: wait for it.
  const flags = ['-o', `DPkg::Lock::Timeout=${APT_LOCK_S}`, '-y', '-q', '--no-install-recommends']
  await spawn('apt-get', ['install', ...flags, debianPackage], root, env)
}

function isOnPath(command) {
  const folders = [...searchPath().split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.some((folder) => folder !== '' && existsSync(join(folder, command)))
}

function searchPath() {
  return [dirname(nodePath), process.env.PATH, join(unpacked, 'usr', 'bin')].join(delimiter)
}

/** npm on the given Node. ONNX Runtime's install script would fetch CUDA files that a CPU has no use for. */
function npm(onNode, flags) {
  const cli = process.env.npm_execpath
  const env = { ONNXRUNTIME_NODE_INSTALL: 'skip', PATH: `${dirname(onNode)}${delimiter}${process.env.PATH}` }
  return cli ? spawn(onNode, [cli, ...flags], root, env) : spawn('npm', flags, root, env)
}

/** Exit status of a program, run to its end. What installers and the page's build print goes to stderr: stdout is the task's own. */
async function spawn(command, flags, cwd, env = {}) {
  const isInstaller = /npm|apt-get|pip|node_modules.vite[\\/]/.test([command, ...flags.slice(0, 3)].join(' '))
  const child = spawnChild(command, flags, {
    cwd,
    stdio: ['inherit', isInstaller ? 2 : 'inherit', 'inherit'],
    env: { ...process.env, PATH: searchPath(), ...env },
  })
  child.on('error', (error) => stop(`${command} could not be started: ${error.message}`))
  // A terminal sends Ctrl-C to the child as well, which then finishes its work: wait for it.
  const ignore = () => {}
  const forward = () => child.kill('SIGTERM')
  process.on('SIGINT', ignore).on('SIGTERM', forward)
  const [status, signal] = await once(child, 'exit')
  process.off('SIGINT', ignore).off('SIGTERM', forward)
  return status ?? (signal === 'SIGINT' ? 130 : signal === 'SIGKILL' ? 137 : 143)
}

function digest(path) {
  return existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : 'none'
}

function note(text) {
  process.stderr.write(`nustream: ${text}\n`)
}

function stop(text, status = 1) {
  note(text)
  process.exit(status)
}
