import type { Broker } from '../../src/broker/contract.ts'
import { renderStatus } from '../../src/cli/account.ts'
import type { Part } from './part.ts'

const LIVE_EVERY_MS = 500
const PLAIN_EVERY_MS = 10_000

/** Prints sentences, with one live line below them on a terminal. */
export interface Terminal {
  say(text: string): void
  /** Shows the progress of the stream until `end`. */
  follow(options: { broker: Broker; parts: readonly Part[]; eventsMax: number | undefined }): { end(): void }
}

export function openTerminal(): Terminal {
  const { stderr } = process
  const clear = stderr.isTTY ? '\r\u001b[K' : ''
  const say = (text: string) => void stderr.write(`${clear}${text}\n`)
  return {
    say,
    follow({ broker, parts, eventsMax }) {
      let last: { predicted: number; atMs: number } | undefined
      let asking = false
      const look = async () => {
        const [totals, backlog] = await Promise.all([broker.totals(), broker.backlog()])
        const atMs = performance.now()
        const rate = last ? ((totals.predicted - last.predicted) * 1_000) / (atMs - last.atMs) : 0
        last = { predicted: totals.predicted, atMs }
        const restarts = parts.reduce((sum, part) => sum + part.restarts, 0)
        const down = parts.filter(({ state }) => state === 'restarting').map(({ plan }) => plan.name)
        const line = [
          renderStatus({ totals, waiting: backlog.events, rate, eventsMax }),
          ...(restarts > 0 ? [`restarts ${restarts}`] : []),
          ...(down.length > 0 ? [`down: ${down.join(', ')}`] : []),
        ].join('  ')
        if (stderr.isTTY) stderr.write(`${clear}${line.slice(0, stderr.columns ?? 100)}`)
        else say(line)
      }
      const timer = setInterval(
        () => {
          if (asking) return
          asking = true
          look()
            .catch(() => {})
            .finally(() => {
              asking = false
            })
        },
        stderr.isTTY ? LIVE_EVERY_MS : PLAIN_EVERY_MS,
      )
      return {
        end() {
          clearInterval(timer)
          stderr.write(clear)
        },
      }
    },
  }
}

/** The addresses of all processes. */
export function renderTable(parts: readonly Part[]): string {
  const rows = parts.map(({ plan, pid, state }) => [
    `cube ${plan.cube}`,
    plan.name,
    state,
    String(pid ?? ''),
    plan.address,
    plan.logFile,
  ])
  const table = [['', 'part', 'state', 'process', 'address', 'log'], ...rows]
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)))
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
