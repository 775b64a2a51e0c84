import type { TestContext } from 'vitest'
import type {
  BatchMessage,
  Broker,
  DeadLetter,
  Delivery,
  Settlement,
  StoredPredictions,
} from '../../../src/broker/contract.ts'
import type { OpenOptions } from '../../../src/broker/options.ts'

/** A real backend for one test. */
export interface BrokerBackend {
  /** Opens a broker on it, as one process would; the test's end closes it. */
  open(options?: OpenOptions): Promise<Broker>
  /** Kills the server (kill -9), where the backend has one, and starts it again. Open brokers reconnect. */
  restart(): Promise<void>
}

export type OpenBackend = (t: TestContext) => Promise<BrokerBackend>

const TAKE_WITHIN_MS = 10_000

/** Deadline for what should happen soon, on a machine that may be busy. */
export const SOON = { timeout: 10_000 }

/** The UTF-8 bytes of a text. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function text(payload: Uint8Array): string {
  return new TextDecoder().decode(payload)
}

export function batch(batchId: string, events = 4): BatchMessage {
  return { batchId, payload: bytes(`events of ${batchId}`), events, emittedAtMs: 1_700_000_000_000 }
}

/** A settlement that predicts every event of the delivery. */
export function predicted({ batchId, events }: Delivery): Settlement {
  return { predictions: bytes(`predictions of ${batchId}`), predicted: events, deadLetters: [] }
}

export function deadLetter(batchId: string, eventId: bigint | undefined, events = 1): DeadLetter {
  return {
    batchId,
    eventId,
    code: 'charge_not_finite',
    message: `charge of event ${eventId} is NaN`,
    attempts: 1,
    payload: bytes(`event ${eventId}`),
    events,
    diedAtMs: 1_700_000_000_123,
  }
}

export interface TakeOptions {
  readonly consumer?: string
  readonly leasesMax?: number
  /** Fails when fewer come within this. */
  readonly withinMs?: number
}

/** Takes `count` deliveries and keeps their leases. */
export async function take(broker: Broker, count: number, options: TakeOptions = {}): Promise<Delivery[]> {
  const { consumer = 'c1', leasesMax = 100, withinMs = TAKE_WITHIN_MS } = options
  const taken: Delivery[] = []
  const signal = AbortSignal.timeout(withinMs)
  if (count === 0) return taken
  for await (const delivery of broker.deliveries({ consumer, leasesMax, signal })) {
    taken.push(delivery)
    if (taken.length === count) return taken
  }
  throw new Error(`${consumer} got ${taken.length} of ${count} batches within ${withinMs} ms`)
}

/** What a consumer gets within this time. */
export async function takeWithin(broker: Broker, withinMs: number, consumer: string): Promise<Delivery[]> {
  const taken: Delivery[] = []
  const signal = AbortSignal.timeout(withinMs)
  for await (const delivery of broker.deliveries({ consumer, leasesMax: 100, signal })) taken.push(delivery)
  return taken
}

/** Takes and settles `count` deliveries, one after another. */
export async function settleAll(broker: Broker, count: number, options: TakeOptions = {}): Promise<string[]> {
  const { consumer = 'c1', leasesMax = 100, withinMs = TAKE_WITHIN_MS } = options
  const settled: string[] = []
  const signal = AbortSignal.timeout(withinMs)
  for await (const delivery of broker.deliveries({ consumer, leasesMax, signal })) {
    await broker.settle(delivery, predicted(delivery))
    settled.push(delivery.batchId)
    if (settled.length === count) return settled
  }
  throw new Error(`${consumer} settled ${settled.length} of ${count} batches within ${withinMs} ms`)
}

/** The first `count` stored predictions, per partition in order. */
export async function readStored(
  broker: Broker,
  count: number,
  after?: ReadonlyMap<number, string>,
): Promise<StoredPredictions[]> {
  const seen: StoredPredictions[] = []
  const signal = AbortSignal.timeout(TAKE_WITHIN_MS)
  if (count === 0) return seen
  for await (const stored of broker.predictions({ ...(after && { after }), signal })) {
    seen.push(stored)
    if (seen.length === count) return seen
  }
  throw new Error(`saw ${seen.length} of ${count} predictions`)
}

/** Every prediction that is stored now. */
export async function storedNow(broker: Broker, withinMs = 300): Promise<StoredPredictions[]> {
  const signal = AbortSignal.timeout(withinMs)
  return await Array.fromAsync(broker.predictions({ signal }))
}

export function ids(items: readonly { readonly batchId: string }[]): string[] {
  return items.map(({ batchId }) => batchId)
}
