import type { Logger } from 'pino'
import { sleep, untilAborted } from '../async/deadline.ts'
import type { EmitterBroker } from '../broker/contract.ts'
import type { EmitterMetrics } from './metrics.ts'

export interface GateOptions {
  readonly broker: EmitterBroker
  /** Events that the broker may hold before publishing pauses. */
  readonly backlogMaxEvents: number
  readonly metrics: EmitterMetrics | undefined
  readonly log: Logger | undefined
  readonly signal: AbortSignal
}

/** Publishing continues once the broker holds at most this share of its limit, so that it does not stutter. */
const RESUME_SHARE = 0.8
/** Other emitters publish too: what was known of the backlog is forgotten after so long. */
const TRUST_MS = 1_000
const FIRST_POLL_MS = 20
const LAST_POLL_MS = 250

/**
 * Back pressure. The broker is asked how much it holds, then as much is let through as fits before it is asked again: a
 * backlog of 100,000 events costs one question per 20,000 events.
 */
export function createBacklogGate({ broker, backlogMaxEvents, metrics, log, signal }: GateOptions): {
  /** Resolves when a batch of so many events may be published. @throws the signal's reason when aborted */
  pass(events: number): Promise<void>
} {
  let room = 0
  let askedMs = Number.NEGATIVE_INFINITY
  const ask = async () => {
    const { events } = await untilAborted(broker.backlog(), signal)
    askedMs = performance.now()
    return events
  }
  const drain = async (events: number, holds: number) => {
    const startMs = performance.now()
    // A batch larger than the limit passes once the broker is empty.
    const target = Math.max(0, Math.min(backlogMaxEvents * RESUME_SHARE, backlogMaxEvents - events))
    log?.info({ backlogEvents: holds, backlogMaxEvents }, 'emitter paused: the broker holds too many events')
    let held = holds
    for (let pollMs = FIRST_POLL_MS; held > target; pollMs = Math.min(LAST_POLL_MS, pollMs * 2)) {
      const countedMs = performance.now()
      await sleep(pollMs, signal)
      held = await ask()
      metrics?.paused((performance.now() - countedMs) / 1000)
    }
    log?.info({ backlogEvents: held, pausedMs: Math.round(performance.now() - startMs) }, 'emitter continues')
    return held
  }
  return {
    async pass(events) {
      if (room < events || performance.now() - askedMs > TRUST_MS) {
        let held = await ask()
        if (held > 0 && held + events > backlogMaxEvents) held = await drain(events, held)
        room = backlogMaxEvents - held
      }
      room -= events
    },
  }
}
