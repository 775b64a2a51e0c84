import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensurePage } from '../setup/page.ts'
import { bin, CACHE, node, ROOT, run } from '../setup/process.ts'
import { ensureProgram, ensurePrometheus } from '../setup/programs.ts'
import { ensurePython, PYTHON } from '../setup/python.ts'
import { readPytestReport, readVitestReport, renderSummary } from './report.ts'

const VITEST_REPORT = join(CACHE, 'vitest.json')
const PYTEST_REPORT = join(CACHE, 'pytest.xml')

/** Programs that the tests run, with the Debian package of each. */
const PROGRAMS = [
  ['redis-server', 'redis-server'],
  ['chromium', 'chromium'],
  ['openssl', 'openssl'],
  ['ps', 'procps'],
] as const

/**
 * `npm test`: lint, types, and the tests of TypeScript and Python; installs their requirements first. Ends with the line
 * "N passed, N failed". Returns the exit code.
 */
export async function runSuite(): Promise<number> {
  mkdirSync(CACHE, { recursive: true })
  for (const report of [VITEST_REPORT, PYTEST_REPORT]) rmSync(report, { force: true })
  for (const [program, debianPackage] of PROGRAMS) await ensureProgram(program, debianPackage)
  await ensurePrometheus()
  await ensurePython()
  if ((await ensurePage()) !== 0) return 1
  if ((await node(['tools/mlflow/environment.ts'])) !== 0) return 1
  const checks = (await lint()) || (await checkTypes())
  if (checks !== 0) return checks
  const vitestStatus = await vitest([], { NUSTREAM_VITEST_REPORT: VITEST_REPORT })
  const pytest = ['-m', 'pytest', '-q', `--junitxml=${PYTEST_REPORT}`]
  const pytestStatus = await run(PYTHON, pytest, { cwd: join(ROOT, 'training') })
  const { text, failed, passed } = renderSummary([
    readVitestReport(VITEST_REPORT),
    readPytestReport(PYTEST_REPORT),
  ])
  process.stdout.write(text)
  return vitestStatus || pytestStatus || (failed > 0 || passed === 0 ? 1 : 0)
}

export function lint(): Promise<number> {
  return bin('@biomejs/biome', 'biome', ['check', '.'])
}

/** The page is checked separately: with the types of browsers and without those of Node. */
export async function checkTypes(): Promise<number> {
  const check = (project: string) => bin('typescript', 'tsc', ['--noEmit', '-p', project])
  return (await check('.')) || (await check('web'))
}

export function vitest(
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  return bin('vitest', 'vitest', ['run', ...flags], { env })
}
