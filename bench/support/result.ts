import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

/** Result of a benchmark: one row per measurement, plain numbers and strings. */
export interface BenchResult {
  /** The question it answers. */
  readonly question: string
  /** The command that repeats the measurement. */
  readonly command: string
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly rows: readonly Readonly<Record<string, string | number | boolean>>[]
}

/** Writes bench/results/NAME.json with machine, versions and commit, and prints the rows. */
export function writeResult(name: string, result: BenchResult): void {
  const folder = new URL('../results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  const record = { ...result, measuredAt: new Date().toISOString(), commit: commitOf(), machine: machineOf() }
  const path = fileURLToPath(new URL(`${name}.json`, folder))
  writeFileSync(path, `${JSON.stringify(record, undefined, 2)}\n`)
  console.table(result.rows)
  console.log(`written to bench/results/${name}.json`)
}

/** Middle value; of an even number of values the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function commitOf(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--', 'src') ? ' with changes' : ''}`
  } catch {
    return 'unknown'
  }
}

function machineOf() {
  const processors = cpus()
  return {
    cores: processors.length,
    processor: processors[0]?.model ?? 'unknown',
    memoryGib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  }
}
