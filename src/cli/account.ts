import type { ReaderBroker, Totals } from '../broker/contract.ts'
import type { ModelIdentity } from '../inference/inferrer.ts'

/** What became of every event of a run: emitted = predicted + deadLettered once the stream is drained. */
export interface Account {
  readonly emitted: number
  readonly predicted: number
  readonly deadLettered: number
  /** Measured in this process, from the first batch to the last. */
  readonly eventsPerSecond: number
  /** From the time at which an event was due to leave the emitter to its stored prediction; null before the first. */
  readonly latencyMs: { readonly p50: number | null; readonly p99: number | null }
  /** Null where no truth is known. */
  readonly meanAngularErrorRad: number | null
  readonly model: string
  readonly modelVersion: string
  readonly source: string
  readonly seconds: number
}

export interface AccountInput {
  readonly totals: Totals
  readonly predictedHere: number
  readonly seconds: number
  readonly latencyMs: { readonly p50: number | undefined; readonly p99: number | undefined }
  readonly meanAngularErrorRad: number | undefined
  readonly model: ModelIdentity
  readonly source: string
}

export function toAccount(input: AccountInput): Account {
  const { totals, latencyMs, model } = input
  return {
    emitted: totals.emitted,
    predicted: totals.predicted,
    deadLettered: totals.deadLettered,
    eventsPerSecond: input.seconds > 0 ? round(input.predictedHere / input.seconds, 1) : 0,
    latencyMs: { p50: roundOrNull(latencyMs.p50, 1), p99: roundOrNull(latencyMs.p99, 1) },
    meanAngularErrorRad: roundOrNull(input.meanAngularErrorRad, 5),
    model: model.name,
    modelVersion: model.version,
    source: input.source,
    seconds: round(input.seconds, 3),
  }
}

/** The account as text. */
export function renderAccount(account: Account): string {
  const { latencyMs, meanAngularErrorRad: error } = account
  const balance = account.emitted - account.predicted - account.deadLettered
  const degrees =
    error === null ? '–' : `${error.toFixed(3)} rad (${((error * 180) / Math.PI).toFixed(1)}°; chance is 90°)`
  return [
    `emitted        ${account.emitted}`,
    `predicted      ${account.predicted}`,
    `dead letters   ${account.deadLettered}`,
    ...(balance > 0 ? [`still waiting  ${balance}`] : []),
    `rate           ${Math.round(account.eventsPerSecond)} events/s over ${account.seconds.toFixed(1)} s`,
    `latency        p50 ${latencyMs.p50 ?? '–'} ms, p99 ${latencyMs.p99 ?? '–'} ms`,
    `mean error     ${degrees}`,
    `model          ${account.model} ${account.modelVersion}`,
  ].join('\n')
}

function roundOrNull(value: number | undefined, digits: number): number | null {
  return value === undefined || Number.isNaN(value) ? null : round(value, digits)
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}

const REFRESH_MS = 500

export interface StatusOptions {
  readonly quiet: boolean
  readonly eventsMax?: number | undefined
}

/** Keeps one terminal line with the progress of the stream up to date. Never throws. */
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
