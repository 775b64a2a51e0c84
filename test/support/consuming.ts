import { pino } from 'pino'
import { Registry } from 'prom-client'
import type { Broker } from '../../src/broker/contract.ts'
import { type ConsumeOptions, consume } from '../../src/consumer/consume.ts'
import { consumerMetrics } from '../../src/consumer/metrics.ts'
import type { ConsumeReport } from '../../src/consumer/report.ts'
import { decodePredictionBatch } from '../../src/event/prediction-wire.ts'
import type { Inferrer } from '../../src/inference/inferrer.ts'
import { azimuthOf } from './faulty-inferrer.ts'
import type { Owner } from './redis.ts'
import { until } from './until.ts'

export const SILENT = pino({ level: 'silent' })

export interface Consuming {
  readonly registry: Registry
  readonly done: Promise<ConsumeReport>
  /** Asks it to stop and waits until it has. */
  stop(): Promise<ConsumeReport>
  abort(): void
}

/** Starts a consumer that stops at the latest with the test. */
export function startConsuming(
  owner: Owner,
  given: { broker: Broker; inferrer: Inferrer } & Partial<ConsumeOptions>,
): Consuming {
  const stopping = new AbortController()
  const registry = new Registry()
  const done = consume({
    consumer: 'C1',
    leasesMax: 4,
    attemptsMax: 3,
    metrics: consumerMetrics(registry),
    log: SILENT,
    signal: stopping.signal,
    shutdownMs: 5_000,
    backoff: { firstMs: 5, capMs: 50 },
    ...given,
  })
  done.catch(() => {})
  const stop = (): Promise<ConsumeReport> => {
    stopping.abort()
    return done
  }
  owner.onTestFinished(() =>
    stop().then(
      () => undefined,
      () => undefined,
    ),
  )
  return { registry, done, stop, abort: () => stopping.abort() }
}

/** Waits until every batch is settled. */
export async function untilDrained(broker: Broker, withinMs = 30_000): Promise<void> {
  await until(
    async () => {
      const { unreadBatches, leasedBatches } = await broker.backlog()
      return unreadBatches + leasedBatches === 0
    },
    { withinMs, everyMs: 20, what: 'every batch to be settled' },
  )
}

/** All stored predictions: event id to azimuth. Throws if an event has two predictions. */
export async function storedPredictions(broker: Broker): Promise<Map<number, number>> {
  const { predicted } = await broker.totals()
  const found = new Map<number, number>()
  let seen = 0
  if (predicted === 0) return found
  const signal = AbortSignal.timeout(20_000)
  for await (const { payload } of broker.predictions({ signal })) {
    const { eventIds, azimuth } = decodePredictionBatch(payload)
    for (const [i, id] of eventIds.entries()) {
      if (found.has(Number(id))) throw new Error(`event ${id} has two predictions`)
      found.set(Number(id), azimuth[i])
    }
    seen += eventIds.length
    if (seen >= predicted) break
  }
  return found
}

/** The answers of a TestInferrer for these events. */
export function expectedAzimuths(ids: Iterable<number>): Map<number, number> {
  return new Map([...ids].map((id) => [id, azimuthOf(id)]))
}

/** Whole numbers `from` to `to`, both included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

/** Sorted, so that it can be compared for any order of arrival. */
export function sorted(predictions: ReadonlyMap<number, number>): [number, number][] {
  return [...predictions].sort(([a], [b]) => a - b)
}
