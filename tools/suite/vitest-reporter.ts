import { writeFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'
import type { Report } from './report.ts'

/** Writes a Report to the file of NUSTREAM_VITEST_REPORT. A file that fails outside its tests counts as one failure. */
export class ReportWriter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const path = process.env['NUSTREAM_VITEST_REPORT']
    if (path) writeFileSync(path, JSON.stringify(toReport(modules, unhandledErrors.length)))
  }
}

function toReport(modules: readonly TestModule[], unhandledErrors: number): Report {
  const tests = modules.flatMap((module) => [...module.children.allTests()])
  const ofState = (state: string) => tests.filter((test) => test.result().state === state)
  const broken = modules.filter((module) => !module.ok() && ![...module.children.allTests('failed')].length)
  const skipped = [...ofState('skipped'), ...ofState('pending')].map((test) => {
    const result = test.result()
    const reason = 'note' in result ? result.note : undefined
    return { name: `${test.module.relativeModuleId}: ${test.fullName}`, reason }
  })
  return {
    passed: ofState('passed').length,
    failed: ofState('failed').length + broken.length + unhandledErrors,
    skipped,
  }
}
