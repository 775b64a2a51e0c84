import type { Logger } from 'pino'
import { Gauge, type Registry } from 'prom-client'
import { within } from '../async/deadline.ts'
import type { BrokerUpkeep } from '../broker/contract.ts'

export interface HeartbeatOptions {
  readonly broker?: Pick<BrokerUpkeep, 'beat' | 'leave'>
  readonly role: string
  readonly instance: string
  /** A reader may call this part dead after a few times this long. */
  readonly everyMs?: number
  /** Where its /health and /metrics are. */
  readonly url?: string | undefined
  readonly registry: Registry
  readonly log?: Logger
  readonly signal: AbortSignal
}

export interface Beating {
  /**
   * Stops and takes the name out of the broker: this part ends in order and is not to be missed. One that ends
   * otherwise does not call this, and is missed by its name. Never throws; gives up after a second.
   */
  leave(): Promise<void>
}

/** An end waits for the broker no longer than this; the name is then kept for a day, as that of a dead part. */
const LEAVE_WITHIN_MS = 1_000

/**
 * Beats until `signal` aborts or the part leaves. A beat means: this process is up and its event loop turns. It says
 * nothing about progress, which lag and rates tell, so that a consumer that waits for a model server is not called dead.
 * The gauge beats whatever the broker does; the beat in the broker (where the name is known after the part has
 * vanished) has at most one attempt under way. Never throws.
 */
export function startHeartbeat(options: HeartbeatOptions): Beating {
  const { broker, role, instance, everyMs = 5_000, url, registry, log, signal } = options
  if (signal.aborted) return { leave: async () => {} }
  const gauge = heartbeatGauge(registry)
  let underWay: Promise<void> | undefined
  const beat = (): void => {
    gauge.set({ role, instance }, Date.now() / 1000)
    if (underWay !== undefined || broker === undefined) return
    underWay = broker
      .beat({ role, instance, everyMs, url })
      .catch((error: unknown) => log?.debug({ err: error }, 'heartbeat not stored'))
      .finally(() => {
        underWay = undefined
      })
  }
  beat()
  const timer = setInterval(beat, everyMs)
  timer.unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  const leave = async (): Promise<void> => {
    clearInterval(timer)
    try {
      await within(async () => {
        // A beat that comes after the leave would bring the name back.
        await underWay
        await broker?.leave({ role, instance })
      }, LEAVE_WITHIN_MS)
    } catch (err) {
      log?.debug({ err }, 'the name stays in the broker')
    }
  }
  return { leave }
}

/** The gauge alone. Two parts in one process share it, told apart by their labels. */
export function heartbeatGauge(registry: Registry): Gauge<'role' | 'instance'> {
  const known = registry.getSingleMetric(HEARTBEAT_METRIC)
  // A metric of this name is only ever made here.
  if (known !== undefined) return known as Gauge<'role' | 'instance'>
  return new Gauge({
    name: HEARTBEAT_METRIC,
    help: 'Unix time of the last heartbeat: the process was up and its event loop turned.',
    labelNames: ['role', 'instance'] as const,
    registers: [registry],
  })
}

const HEARTBEAT_METRIC = 'nustream_heartbeat_timestamp_seconds'
