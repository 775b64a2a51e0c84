import type { ReaderBroker, Totals } from '../broker/contract.ts'

const REFRESH_MS = 500

export interface StatusOptions {
  readonly quiet: boolean
  readonly eventsMax?: number | undefined
}

/** Keeps one line on the terminal up to date with how the stream is doing. Never throws. */
export function showStatus(broker: ReaderBroker, { quiet, eventsMax }: StatusOptions): { end(): void } {
  if (quiet || !process.stderr.isTTY) return { end: () => {} }
  let last: { totals: Totals; atMs: number } | undefined
  let underWay = false
  const refresh = async () => {
    const [totals, backlog] = await Promise.all([broker.totals(), broker.backlog()])
    const atMs = performance.now()
    const rate = last ? ((totals.predicted - last.totals.predicted) * 1000) / (atMs - last.atMs) : 0
    last = { totals, atMs }
    const line = renderStatus({ totals, waiting: backlog.events, rate, eventsMax })
    process.stderr.write(`\r${line.slice(0, process.stderr.columns || 100)}\u001b[K`)
  }
  const timer = setInterval(() => {
    if (underWay) return
    underWay = true
    refresh()
      .catch(() => {})
      .finally(() => {
        underWay = false
      })
  }, REFRESH_MS)
  return {
    end() {
      clearInterval(timer)
      process.stderr.write('\r\u001b[K')
    },
  }
}

interface Status {
  readonly totals: Totals
  readonly waiting: number
  readonly rate: number
  readonly eventsMax?: number | undefined
}

export function renderStatus({ totals, waiting, rate, eventsMax }: Status): string {
  const of = eventsMax ? `/${eventsMax}` : ''
  const dead = totals.deadLettered > 0 ? `  ${totals.deadLettered} dead letters` : ''
  return `emitted ${totals.emitted}${of}  predicted ${totals.predicted}  ${Math.round(rate)} events/s  waiting ${waiting}${dead}`
}
