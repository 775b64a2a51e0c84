import { randomUUID } from 'node:crypto'
import { within } from '../../async/deadline.ts'
import { Signal } from '../../async/signal.ts'
import { UnavailableError } from '../../errors.ts'
import type {
  Backlog,
  BatchMessage,
  Broker,
  DeadLetter,
  Delivery,
  DeliveryOptions,
  Heartbeat,
  PredictionsOptions,
  RunPosition,
  RunStanding,
  SampleOptions,
  Settlement,
  SettleResult,
  StoredDeadLetter,
  StoredPredictions,
  Totals,
} from '../contract.ts'
import { Leases } from '../leases.ts'
import type { BrokerSettings } from '../options.ts'
import { BrokerRetry } from '../retry.ts'
import { partitionOf } from '../rules.ts'
import { checkNodes } from './check.ts'
import { RedisNodes } from './client.ts'
import { explained, retryReasonOf } from './errors.ts'
import { storedAtMs, toLease } from './layout.ts'
import { RedisLink } from './link.ts'
import { RedisPartition } from './partition.ts'
import { RedisReader, readPredictions, sampleBatches } from './reader.ts'
import { RedisRun } from './run.ts'
import { type RedisTarget, readTarget } from './target.ts'
import { Background, RedisHeartbeats, readNodeState } from './upkeep.ts'

/** Settled batches are trimmed at most this often, apart from the regular upkeep. */
const TRIM_EVERY_MS = 50
/** Longest that closing takes to release its leases. */
const RELEASE_WITHIN_MS = 2_000

/**
 * The broker on Redis 7 Streams. Every step that must be atomic is one Lua script over the keys of one partition.
 * @throws UsageError when the URL is wrong, the server is a read-only replica or too old, or refuses the login
 * @throws UnavailableError when the server does not answer in time
 */
export async function openRedisBroker(url: string, settings: BrokerSettings): Promise<Broker> {
  const broker = new RedisBroker(readTarget(url, settings), settings)
  try {
    await broker.check()
    return broker
  } catch (error) {
    await broker.close()
    throw error
  }
}

class RedisBroker implements Broker {
  readonly partitions: number
  readonly #kind: RedisTarget['kind']
  readonly #settings: BrokerSettings
  readonly #session = randomUUID()
  readonly #closing = new AbortController()
  readonly #links: readonly RedisLink[]
  readonly #streams: readonly RedisPartition[]
  readonly #heartbeats: RedisHeartbeats
  readonly #retry: BrokerRetry
  readonly #leases = new Leases()
  readonly #leaseEnded = new Signal()
  readonly #stored = new Signal()
  readonly #runs = new Map<string, RedisRun>()
  readonly #readers = new Set<RedisReader>()
  readonly #background: Background
  readonly #timers: readonly NodeJS.Timeout[]
  readonly #trimmedAtMs: number[]
  #closed: Promise<void> | undefined
  /** Only a consumer deletes old predictions and dead letters. */
  #isConsumer = false
  /** The server has accepted this login. */
  #isOpen = false

  constructor(target: RedisTarget, settings: BrokerSettings) {
    this.#kind = target.kind
    this.#settings = settings
    this.partitions = settings.partitions
    const nodes = new RedisNodes(target.nodes)
    this.#links = Array.from({ length: settings.partitions }, () => new RedisLink(target, settings, nodes))
    this.#streams = this.#links.map((link, index) => new RedisPartition(index, link, settings))
    this.#heartbeats = new RedisHeartbeats(settings.stream, this.#links[0], settings.log)
    this.#trimmedAtMs = this.#links.map(() => 0)
    this.#background = new Background(settings.log)
    this.#retry = new BrokerRetry({
      log: settings.log,
      firstMs: 20,
      capMs: settings.retryMaxMs,
      reasonOf: retryReasonOf,
      onRetry: (reason) => settings.observer?.retried(reason),
    })
    this.#timers = [
      setInterval(() => this.#renewLeases(), settings.renewMs).unref(),
      setInterval(() => this.#trimAll(), settings.upkeepMs).unref(),
      setInterval(() => this.#inspect(), settings.inspectMs).unref(),
    ]
  }

  /** Finds out at once what trying again would not help. */
  async check(): Promise<void> {
    const { connectTimeoutMs, log } = this.#settings
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(connectTimeoutMs)])
    try {
      await this.#try('connecting', () => checkNodes(this.#streams, { kind: this.#kind, log }), signal)
      this.#isOpen = true
      this.#inspect()
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      const reason = error.cause instanceof Error ? ` (${error.cause.message || String(error.cause)})` : ''
      const { address } = this.#links[0]
      const message = `Redis at ${address} was not usable within ${connectTimeoutMs} ms${reason}; check that it runs there`
      throw new UnavailableError('broker_unreachable', message, { cause: error.cause })
    }
  }

  async publish(
    message: BatchMessage | undefined,
    position?: RunPosition,
    deadLetters: readonly DeadLetter[] = [],
  ): Promise<'stored' | 'repeat'> {
    const stream = this.#streams[partitionOf(message?.batchId ?? '', position?.sequence, this.partitions)]
    let isRetry = false
    return await this.#try('publishing', async () => {
      try {
        if (position)
          return await this.#run(position.run).publish(stream, { message, position, deadLetters, isRetry })
        const reply = await stream.publish({ message, deadLetters, step: undefined })
        return reply === 'repeat' ? 'repeat' : 'stored'
      } finally {
        isRetry = true
      }
    })
  }

  async position(run: string): Promise<RunStanding | undefined> {
    return await this.#try('reading a position', () => this.#run(run).read(run))
  }

  async *deliveries(options: DeliveryOptions): AsyncGenerator<Delivery, void, void> {
    if (this.#closing.signal.aborted) return
    const reader = this.#openReader(options)
    try {
      for (let delivery = await reader.next(); delivery; delivery = await reader.next()) yield delivery
    } finally {
      await reader.stop()
    }
  }

  async settle(delivery: Delivery, settlement: Settlement): Promise<SettleResult> {
    const result = await this.#finish(delivery, 'settling', (stream) => stream.settle(delivery, settlement))
    this.#stored.notify()
    return result
  }

  async split(delivery: Delivery, parts: readonly BatchMessage[]): Promise<SettleResult> {
    return await this.#finish(delivery, 'splitting', (stream) => stream.split(delivery, parts))
  }

  async release(delivery: Delivery): Promise<void> {
    await this.#finish(delivery, 'releasing', (stream) => stream.release([delivery.deliveryId]))
  }

  async backlog(): Promise<Backlog> {
    const all = await this.#ofAll('reading the backlog', (stream) => stream.backlog())
    return {
      unreadBatches: sum(all, 'unreadBatches'),
      leasedBatches: sum(all, 'leasedBatches'),
      events: sum(all, 'events'),
      oldestAgeMs: Math.max(...all.map(({ oldestAgeMs }) => oldestAgeMs)),
    }
  }

  async totals(): Promise<Totals> {
    const all = await this.#ofAll('reading totals', (stream) => stream.totals())
    return {
      emitted: sum(all, 'emitted'),
      predicted: sum(all, 'predicted'),
      deadLettered: sum(all, 'deadLettered'),
    }
  }

  async streamId(): Promise<string> {
    const [first] = this.#streams
    const proposed = randomUUID().slice(0, 8)
    return await this.#try('reading the stream id', () => first.streamId(proposed))
  }

  predictions(options: PredictionsOptions): AsyncIterable<StoredPredictions> {
    const ends = AbortSignal.any([options.signal, this.#closing.signal])
    const next = <T>(read: () => Promise<T>) => this.#next(read, ends)
    return readPredictions({ streams: this.#streams, options, ends, stored: this.#stored, next })
  }

  samples({ everyMs, signal }: SampleOptions): AsyncIterable<BatchMessage> {
    const ends = AbortSignal.any([signal, this.#closing.signal])
    const next = <T>(read: () => Promise<T>) => this.#next(read, ends)
    return sampleBatches({ streams: this.#streams, everyMs, ends, next })
  }

  async holdPredictions(reader: string, taken: ReadonlyMap<number, string>): Promise<void> {
    const hold = (stream: RedisPartition) => stream.holdPredictions(reader, taken.get(stream.index) ?? '0-0')
    await this.#ofAll('holding predictions', hold)
  }

  async deadLetters({ limit }: { readonly limit: number }): Promise<StoredDeadLetter[]> {
    const all = await this.#ofAll('listing dead letters', (stream) => stream.deadLetters(limit))
    return all
      .flat()
      .toSorted((a, b) => storedAtMs(b) - storedAtMs(a) || b.diedAtMs - a.diedAtMs)
      .slice(0, limit)
  }

  async deadLetter(id: string): Promise<StoredDeadLetter | undefined> {
    return await this.#ofDeadLetter(id, undefined, (stream, entryId) => stream.deadLetter(entryId))
  }

  async replayDeadLetter(id: string): Promise<boolean> {
    return await this.#ofDeadLetter(id, false, (stream, entryId) => stream.replayDeadLetter(entryId))
  }

  async dropDeadLetter(id: string): Promise<boolean> {
    return await this.#ofDeadLetter(id, false, (stream, entryId) => stream.dropDeadLetter(entryId))
  }

  async beat(beat: Omit<Heartbeat, 'alive' | 'beatAtMs'>): Promise<void> {
    await this.#try('beating', () => this.#heartbeats.beat(beat))
  }

  async leave(part: Pick<Heartbeat, 'role' | 'instance'>): Promise<void> {
    await this.#try('leaving', () => this.#heartbeats.leave(part))
  }

  async heartbeats(): Promise<Heartbeat[]> {
    return await this.#try('reading heartbeats', () => this.#heartbeats.read())
  }

  async ping(): Promise<void> {
    const [link] = this.#links
    try {
      await link.send(['PING'])
    } catch (cause) {
      throw new UnavailableError('broker_unreachable', `Redis at ${link.address} does not answer`, { cause })
    }
  }

  async checkWritable(): Promise<void> {
    const byNode = new Map(this.#streams.map((stream) => [stream.address, stream]))
    await Promise.all([...byNode.values()].map((stream) => stream.checkWritable()))
  }

  async close(): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#closing.abort()
    await within(() => this.#releaseAll(), RELEASE_WITHIN_MS).catch(() => undefined)
    await Promise.all(this.#links.map((link) => link.close()))
    this.#settings.observer?.sawNodes([])
  }

  async #releaseAll(): Promise<void> {
    await Promise.allSettled([...this.#readers].map((reader) => reader.done))
    const releases = this.#streams.map((stream) => stream.release(this.#leasesOf(stream)))
    await Promise.allSettled([...releases, this.#background.ended()])
  }

  #openReader(options: DeliveryOptions): RedisReader {
    const streams = this.#streams.map((partition) => ({ partition, link: partition.openLink() }))
    const deps = {
      streams,
      settings: this.#settings,
      retry: this.#retry,
      leases: this.#leases,
      leaseEnded: this.#leaseEnded,
    }
    const reader = new RedisReader(deps, options, this.#closing.signal)
    this.#isConsumer = true
    this.#readers.add(reader)
    const forget = () => this.#readers.delete(reader)
    reader.done.then(forget, forget)
    return reader
  }

  #run(run: string): RedisRun {
    let known = this.#runs.get(run)
    if (!known) {
      known = new RedisRun(this.#streams, this.#session, this.#settings.log)
      this.#runs.set(run, known)
    }
    return known
  }

  async #finish<T>(
    delivery: Delivery,
    what: string,
    act: (stream: RedisPartition) => Promise<T>,
  ): Promise<T> {
    const stream = this.#streams[delivery.partition]
    const result = await this.#try(what, () => act(stream))
    this.#leases.remove(delivery.deliveryId)
    this.#leaseEnded.notify()
    if (performance.now() - this.#trimmedAtMs[stream.index] > TRIM_EVERY_MS) this.#trim(stream)
    return result
  }

  async #ofAll<T>(what: string, act: (stream: RedisPartition) => Promise<T>): Promise<T[]> {
    return await this.#try(what, () => Promise.all(this.#streams.map(act)))
  }

  async #ofDeadLetter<T>(
    id: string,
    none: T,
    act: (stream: RedisPartition, entryId: string) => Promise<T>,
  ): Promise<T> {
    const [, partition, entryId] = /^(\d+)\/(\d+-\d+)$/.exec(id) ?? []
    const stream = this.#streams[Number(partition)]
    if (stream === undefined || entryId === undefined) return none
    return await this.#try('at a dead letter', () => act(stream, entryId))
  }

  async #try<T>(what: string, act: () => Promise<T>, signal = this.#closing.signal): Promise<T> {
    const attempt = async () => {
      try {
        return await act()
      } catch (error) {
        throw explained(error, this.#links[0].address, this.#isOpen)
      }
    }
    return await this.#retry.run(what, attempt, signal)
  }

  /** The result of a read within a loop, or undefined once the loop is to end. */
  async #next<T>(read: () => Promise<T>, ends: AbortSignal): Promise<T | undefined> {
    try {
      return await this.#try('reading', read, ends)
    } catch (error) {
      if (ends.aborted) return undefined
      throw error
    }
  }

  #leasesOf(stream: RedisPartition): string[] {
    return this.#leases.ids().filter((id) => toLease(id).partition === stream.index)
  }

  #renewLeases(): void {
    for (const stream of this.#streams) {
      const ids = this.#leasesOf(stream)
      if (ids.length === 0) continue
      this.#background.start(`renew ${stream.index}`, async () => {
        for (const id of await stream.renew(ids)) this.#leases.remove(id)
        this.#leaseEnded.notify()
      })
    }
  }

  /** Reads the state of each node that holds a partition, for the metrics. */
  #inspect(): void {
    const { observer } = this.#settings
    if (!observer) return
    const byNode = new Map(this.#links.map((link) => [link.address, link]))
    this.#background.start('inspect', async () => {
      const states = await Promise.all([...byNode.values()].map(readNodeState))
      if (!this.#closing.signal.aborted) observer.sawNodes(states.filter((state) => state !== undefined))
    })
  }

  #trimAll(): void {
    for (const stream of this.#streams) this.#trim(stream)
  }

  #trim(stream: RedisPartition): void {
    this.#trimmedAtMs[stream.index] = performance.now()
    this.#background.start(`trim ${stream.index}`, () => stream.trim(this.#isConsumer))
  }
}

function sum<K extends string>(counts: readonly Readonly<Record<K, number>>[], name: K): number {
  return counts.reduce((total, count) => total + count[name], 0)
}
