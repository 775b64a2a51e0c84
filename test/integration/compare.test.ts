import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, type TestContext } from 'vitest'
import type { ComparisonRow } from '../../tools/compare/comparison.ts'
import { startNustream, startScript } from '../support/nustream.ts'
import { NO_SAMPLE, sampleFolder } from '../support/sample.ts'

interface Report {
  readonly data: string
  readonly events: number
  readonly comparison: readonly ComparisonRow[]
}

/** `npm run compare`. */
function startCompare(args: readonly string[], t: TestContext) {
  return startScript('tools/compare/main.ts', args, t)
}

async function compare(args: readonly string[], t: TestContext): Promise<Report> {
  const { ended, stdout, stderr } = startCompare(['--json', ...args], t)
  expect(await ended, stderr()).toBe(0)
  return JSON.parse(stdout())
}

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-compare-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

it('says the same of a data set and of the stream that it was written from, on any number of threads', async (t) => {
  const folder = makeFolder(t)
  const written = startNustream(['simulate', '--events', '100', '--seed', '9', '--out', folder], t)
  expect(await written.ended, written.stderr()).toBe(0)
  const streamed = await compare(['--data', 'sim:9', '--events', '100', '--threads', '2'], t)
  const alone = await compare(['--data', 'sim:9', '--events', '100', '--threads', '1'], t)
  const read = await compare(['--data', folder], t)
  expect(streamed.events).toBe(100)
  expect(read.events).toBe(100)
  expect(alone.comparison).toEqual(streamed.comparison)
  // Shares are in double precision, but charges were floats on the way.
  for (const [i, row] of read.comparison.entries())
    expect(row.simulated).toBeCloseTo(streamed.comparison[i].simulated, 6)
})

it('writes the table, the JSON report and the figures into a folder', async (t) => {
  const folder = makeFolder(t)
  const report = await compare(['--events', '200', '--out', join(folder, 'deep', 'report')], t)
  const names = readdirSync(join(folder, 'deep', 'report')).toSorted()
  const figures = ['charges', 'directions', 'overview', 'pulses', 'times']
  expect(names).toEqual([
    'comparison.json',
    'comparison.txt',
    ...figures.map((name) => `simulator-${name}.svg`),
  ])
  const text = (name: string) => readFileSync(join(folder, 'deep', 'report', name), 'utf8')
  expect(JSON.parse(text('comparison.json'))).toEqual(report)
  expect(text('comparison.txt')).toMatch(/pulses per event, p50 +63 +\d+/)
  expect(text('simulator-pulses.svg')).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
})

it('says in one sentence that the report cannot be written, before it reads an event', async (t) => {
  const file = join(makeFolder(t), 'a-file')
  writeFileSync(file, '')
  for (const out of [file, join(file, 'below')]) {
    const { ended, stderr, stdout } = startCompare(['--events', '1000000000', '--out', out], t)
    expect(await ended, stderr()).toBe(2)
    expect(stderr()).toMatch(/^nustream: --out .* is not writable \(.*\); name a writable folder\n$/)
    expect(stdout()).toBe('')
  }
})

it('knows what was counted in the ten real events, where they are there', async (t) => {
  const sample = sampleFolder()
  if (!sample) return t.skip(NO_SAMPLE)
  const { events, comparison } = await compare(['--data', sample], t)
  expect(events).toBe(10)
  const of = (name: string) => comparison.find(({ quantity }) => quantity === name)?.simulated
  expect(of('share of pulses not auxiliary')).toBeCloseTo(397 / 847, 6)
  // The published 552 Hz are 108 pulses of a window that is not published; ours holds 111 in 3.87 µs.
  expect(of('noise before the light')).toBeCloseTo(111 / (10 * 5051 * 3.87e-6), 6)
  expect(of('line fit, not auxiliary, mean error')).toBeCloseTo(0.887, 3)
  expect(of('first pulse not auxiliary, median')).toBeCloseTo(9871, -1)
})

it('reports that there are no events to compare', async (t) => {
  const missing = startCompare(['--data', 'sim:x'], t)
  expect(await missing.ended).toBe(2)
  expect(missing.stderr()).toContain('source "sim:x" is no simulator')
  const none = startCompare(['--events', '0'], t)
  expect(await none.ended).toBe(2)
  expect(none.stderr()).toContain('--events')
})
