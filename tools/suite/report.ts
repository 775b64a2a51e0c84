import { existsSync, readFileSync } from 'node:fs'

/** The test results of one language. */
export interface Report {
  readonly passed: number
  readonly failed: number
  readonly skipped: readonly Skipped[]
}

export interface Skipped {
  /** File and full name. */
  readonly name: string
  /** The reason; undefined if the test gives none. */
  readonly reason: string | undefined
}

/** A run that wrote no report has failed. */
const MISSING: Report = { passed: 0, failed: 1, skipped: [] }

/** Reads the report of vitest-reporter.ts. */
export function readVitestReport(path: string): Report {
  if (!existsSync(path)) return MISSING
  return JSON.parse(readFileSync(path, 'utf8')) as Report
}

/** Reads the report of pytest's `--junitxml`. */
export function readPytestReport(path: string): Report {
  if (!existsSync(path)) return MISSING
  const text = readFileSync(path, 'utf8')
  const count = (name: string) =>
    Number(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`).exec(text)?.[1] ?? 0)
  const failed = count('failures') + count('errors')
  const cases = text.matchAll(
    /<testcase classname="([^"]*)" name="([^"]*)"[^>]*>\s*<skipped [^>]*message="([^"]*)"/g,
  )
  const skipped = Array.from(cases, ([, file, name, reason]) => {
    return { name: `${decode(file)}: ${decode(name)}`, reason: decode(reason) }
  })
  return { passed: count('tests') - failed - count('skipped'), failed, skipped }
}

function decode(text: string): string {
  const named: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }
  return text.replaceAll(/&(\w+);/g, (whole, name: string) => named[name] ?? whole)
}

/** Names every skipped test with its reason and counts the rest. A test that is skipped without a reason has failed. */
export function renderSummary(reports: readonly Report[]): { text: string; passed: number; failed: number } {
  const skipped = reports.flatMap((report) => report.skipped)
  const silent = skipped.filter(({ reason }) => !reason).length
  const passed = reports.reduce((sum, report) => sum + report.passed, 0)
  const failed = reports.reduce((sum, report) => sum + report.failed, silent)
  const lines = skipped.map(({ name, reason }) =>
    reason ? `skipped: ${name}: ${reason}` : `failed: ${name}: it was skipped without a reason`,
  )
  return { text: [...lines, '', `${passed} passed, ${failed} failed`, ''].join('\n'), passed, failed }
}
