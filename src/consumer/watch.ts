import { within } from '../async/deadline.ts'
import type { Heartbeat, ReaderBroker } from '../broker/contract.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import type { ConsumerMetrics } from './metrics.ts'

export interface WatchBacklogOptions {
  readonly broker: Pick<ReaderBroker, 'ping' | 'backlog' | 'totals' | 'heartbeats'>
  readonly metrics: Pick<
    ConsumerMetrics,
    'brokerUp' | 'backlogBatches' | 'backlogEvents' | 'oldestAge' | 'totals' | 'roleBeat'
  >
  readonly everyMs: number
  readonly signal: AbortSignal
}

export interface WatchModelOptions {
  readonly inferrer: Pick<Inferrer, 'ready'>
  /** What a check found: undefined where the model can be asked. */
  readonly onChecked: (problem: unknown) => void
  readonly everyMs: number
  readonly signal: AbortSignal
}

/** Checks whether the model is ready, now and every `everyMs` until `signal` aborts; never two checks at once. */
export function watchModel({ inferrer, onChecked, everyMs, signal }: WatchModelOptions): void {
  repeat({ everyMs, signal }, async () => {
    try {
      await within(() => inferrer.ready(), everyMs, signal)
      onChecked(undefined)
    } catch (error) {
      if (!signal.aborted) onChecked(error)
    }
  })
}

/**
 * Keeps the gauges of the broker's backlog current until `signal` aborts. A broker that does not answer in time shows
 * as down and leaves the other gauges as they were; it is never asked twice at once.
 */
export function watchBacklog({ broker, metrics, everyMs, signal }: WatchBacklogOptions): void {
  repeat({ everyMs, signal }, async () => {
    try {
      await within(() => readInto(broker, metrics), everyMs, signal)
    } catch {
      // The log of the broker says why.
      metrics.brokerUp.set(0)
    }
  })
}

/** Runs `work`, which never throws, now and every `everyMs`; a turn that finds the one before still running is left out. */
function repeat(
  { everyMs, signal }: { readonly everyMs: number; readonly signal: AbortSignal },
  work: () => Promise<void>,
): void {
  let isRunning = false
  const turn = async (): Promise<void> => {
    if (isRunning || signal.aborted) return
    isRunning = true
    await work()
    isRunning = false
  }
  void turn()
  const timer = setInterval(() => void turn(), everyMs)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

async function readInto(
  broker: WatchBacklogOptions['broker'],
  metrics: WatchBacklogOptions['metrics'],
): Promise<void> {
  await broker.ping() // throws at once when the broker is away, where the others would wait for it
  const [backlog, totals, beats] = await Promise.all([broker.backlog(), broker.totals(), broker.heartbeats()])
  metrics.brokerUp.set(1)
  metrics.backlogBatches.set({ state: 'unread' }, backlog.unreadBatches)
  metrics.backlogBatches.set({ state: 'on_loan' }, backlog.leasedBatches)
  metrics.backlogEvents.set(backlog.events)
  metrics.oldestAge.set(backlog.oldestAgeMs / 1000)
  metrics.totals.set({ fate: 'emitted' }, totals.emitted)
  metrics.totals.set({ fate: 'predicted' }, totals.predicted)
  metrics.totals.set({ fate: 'dead_lettered' }, totals.deadLettered)
  // A role of which the broker keeps no name any more has no value any more.
  metrics.roleBeat.reset()
  for (const [role, beatAtMs] of newestByRole(beats)) metrics.roleBeat.set({ role }, beatAtMs / 1000)
}

function newestByRole(beats: readonly Heartbeat[]): Map<string, number> {
  const newest = new Map<string, number>()
  for (const { role, beatAtMs } of beats) newest.set(role, Math.max(newest.get(role) ?? 0, beatAtMs))
  return newest
}
