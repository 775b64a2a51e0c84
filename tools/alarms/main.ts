/**
 * Produces the cause of every alert on real processes, and waits until a real Prometheus has fired the alert and, after
 * the remedy, cleared it. All durations of the rules are divided by ten (shortened.ts).
 *
 *   npm run alarms -- [--only CAUSE,CAUSE…] [--parallel 2] [--json]
 */
import { parseArgs } from 'node:util'
import { readRules } from '../../test/support/prometheus-files.ts'
import { CAUSES } from './causes.ts'
import { type AlarmResult, type Cause, tryCause } from './run.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    parallel: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
})
// All processes of all stages end with this one.
process.setMaxListeners(200)
const names = values.only?.split(',') ?? CAUSES.map(({ name }) => name)
const unknown = names.filter((name) => !CAUSES.some((cause) => cause.name === name))
if (unknown.length > 0) {
  say(`unknown cause ${unknown.join(', ')}; expected some of ${CAUSES.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}
const results = await tryAll(CAUSES.filter(({ name }) => names.includes(name)))
process.stdout.write(renderTable(results))
const untried = readRules().flatMap(({ alert }) =>
  alert !== undefined && !CAUSES.some(({ alerts }) => alerts.includes(alert)) ? [alert] : [],
)
if (untried.length > 0) say(`alerts without a cause: ${untried.join(', ')}`)
if (values.json) process.stdout.write(`${JSON.stringify({ alarms: results, untried })}\n`)
const isWell = results.every(
  ({ firedAfter, clearedAfter }) => firedAfter !== undefined && clearedAfter !== undefined,
)
process.exit(isWell ? 0 : 1)

async function tryAll(causes: readonly Cause[]): Promise<AlarmResult[]> {
  const waiting = [...causes]
  const done: AlarmResult[] = []
  const work = async () => {
    for (let cause = waiting.shift(); cause !== undefined; cause = waiting.shift()) {
      const { name, what, alerts } = cause
      say(`${name}: ${what}`)
      const missing = alerts.map((alert) => ({
        alert,
        cause: what,
        firedAfter: undefined,
        clearedAfter: undefined,
      }))
      const tried = await tryCause(cause).catch((error: unknown) => {
        say(`${name}: ${error instanceof Error ? error.message : String(error)}`)
        return missing
      })
      for (const { alert, firedAfter, clearedAfter } of tried)
        say(`${name}: ${alert} fired after ${seconds(firedAfter)}, cleared after ${seconds(clearedAfter)}`)
      done.push(...tried)
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Number(values.parallel)) }, work))
  return done
}

function renderTable(rows: readonly AlarmResult[]): string {
  const lines = rows.map(
    ({ alert, cause, firedAfter, clearedAfter }) =>
      `| \`${alert}\` | ${cause} | ${seconds(firedAfter)} | ${seconds(clearedAfter)} |`,
  )
  return [
    '| alert | cause | fired after | cleared after |',
    '|---|---|--:|--:|',
    ...lines.toSorted(),
    '',
  ].join('\n')
}

function seconds(value: number | undefined): string {
  return value === undefined ? 'not seen' : `${Math.round(value)} s`
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
