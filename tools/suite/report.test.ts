import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, type TestContext } from 'vitest'
import { readPytestReport, readVitestReport, renderSummary } from './report.ts'

function fileOf(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-report-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'report'), text)
  return join(folder, 'report')
}

it('reads the counts and the reasons of pytest', (t) => {
  const path = fileOf(
    t,
    `<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="2" skipped="1" tests="9" time="1.0">
<testcase classname="tests.test_a" name="test_b[1]" time="0.1" />
<testcase classname="tests.test_a" name="test_c" time="0.1"><skipped type="pytest.skip" message="&lt;x&gt; is not here">/a.py:3: x</skipped></testcase>
</testsuite></testsuites>`,
  )
  const skipped = [{ name: 'tests.test_a: test_c', reason: '<x> is not here' }]
  expect(readPytestReport(path)).toEqual({ passed: 5, failed: 3, skipped })
})

it('counts a run without a report as a failure', () => {
  expect(readPytestReport('/nowhere')).toEqual({ passed: 0, failed: 1, skipped: [] })
  expect(readVitestReport('/nowhere')).toEqual({ passed: 0, failed: 1, skipped: [] })
})

it('names every skipped test with its reason and ends with the counts', () => {
  const { text } = renderSummary([
    { passed: 3, failed: 1, skipped: [{ name: 'a.test.ts: b', reason: 'c is missing' }] },
    { passed: 2, failed: 0, skipped: [] },
  ])
  expect(text).toBe('skipped: a.test.ts: b: c is missing\n\n5 passed, 1 failed\n')
})

it('counts a test that is skipped without a reason as a failure', () => {
  const silent = { passed: 1, failed: 0, skipped: [{ name: 'a.test.ts: b', reason: undefined }] }
  expect(renderSummary([silent])).toMatchObject({ passed: 1, failed: 1 })
})
