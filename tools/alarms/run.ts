import type { Owner } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { openStage, type Stage } from './stage.ts'

/** A fault with its remedy. */
export interface Trial {
  /** Produces the fault and keeps it up until the signal aborts. */
  make(signal: AbortSignal): Promise<void>
  mend(): Promise<void>
}

export interface Cause {
  readonly name: string
  /** Description of the fault for the table. */
  readonly what: string
  readonly alerts: readonly string[]
  /** Arguments of redis-server. */
  readonly redisArgs?: readonly string[]
  /** Starts the processes and returns once they work. */
  open(stage: Stage): Promise<Trial>
}

export interface AlarmResult {
  readonly alert: string
  readonly cause: string
  /** Seconds from the cause to the alert, and from the remedy to its end; undefined if it did not happen in time. */
  readonly firedAfter: number | undefined
  readonly clearedAfter: number | undefined
}

const QUIET_WITHIN_MS = 120_000
const FIRES_WITHIN_MS = 420_000
const CLEARS_WITHIN_MS = 420_000

/**
 * Produces a cause on its own stage, waits until each of its alerts fires, applies the remedy, and waits until each alert
 * has cleared.
 * @throws Error if the processes do not start, or an alert fires before its cause
 */
export async function tryCause(cause: Cause): Promise<AlarmResult[]> {
  const cleanups: (() => Promise<void>)[] = []
  const owner: Owner = { onTestFinished: (cleanup) => cleanups.unshift(cleanup) }
  try {
    const stage = await openStage(owner, cause.redisArgs ? { args: cause.redisArgs } : {})
    const trial = await cause.open(stage)
    const isFiring = async (alert: string) => (await firing(stage)).has(alert)
    const isQuiet = async () => {
      const now = await firing(stage)
      return cause.alerts.every((alert) => !now.has(alert))
    }
    await until(isQuiet, { withinMs: QUIET_WITHIN_MS, everyMs: 250, what: `quiet before ${cause.name}` })
    const stop = new AbortController()
    const making = trial.make(stop.signal)
    making.catch(() => {})
    const fired = await timed(cause.alerts, isFiring, FIRES_WITHIN_MS)
    stop.abort()
    await making
    await trial.mend()
    const cleared = await timed(cause.alerts, async (alert) => !(await isFiring(alert)), CLEARS_WITHIN_MS)
    return cause.alerts.map((alert) => ({
      alert,
      cause: cause.what,
      firedAfter: fired.get(alert),
      clearedAfter: fired.has(alert) ? cleared.get(alert) : undefined,
    }))
  } finally {
    for (const cleanup of cleanups) await cleanup()
  }
}

async function firing({ prometheus }: Stage): Promise<Set<string>> {
  const alerts = await prometheus.alerts()
  return new Set(alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels['alertname']))
}

/** Seconds until each alert first reached the wanted state; alerts that never did are missing. */
async function timed(
  alerts: readonly string[],
  is: (alert: string) => Promise<boolean>,
  withinMs: number,
): Promise<Map<string, number>> {
  const startMs = performance.now()
  const seen = new Map<string, number>()
  const areAll = async () => {
    for (const alert of alerts)
      if (!seen.has(alert) && (await is(alert))) seen.set(alert, (performance.now() - startMs) / 1_000)
    return seen.size === alerts.length
  }
  await until(areAll, { withinMs, everyMs: 250 }).catch(() => undefined)
  return seen
}
