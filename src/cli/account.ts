import type { Totals } from '../broker/contract.ts'
import type { ModelIdentity } from '../inference/inferrer.ts'

/** What became of every event of a run: emitted = predicted + deadLettered once the stream is drained. */
export interface Account {
  readonly emitted: number
  readonly predicted: number
  readonly deadLettered: number
  /** Over this process's time, from the first batch to the last. */
  readonly eventsPerSecond: number
  /** From when an event was due to leave the emitter to its stored prediction; null before the first. */
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

/** The account for a reader. */
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
