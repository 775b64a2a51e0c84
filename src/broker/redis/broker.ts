import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { Signal } from '../../async/signal.ts'
import { UnavailableError } from '../../errors.ts'
import { Background } from '../background.ts'
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
import { Loans } from '../leases.ts'
import { type BrokerOptions, type BrokerSettings, brokerSettings } from '../options.ts'
import { partitionOf } from '../partition.ts'
import { Persistence } from '../persist.ts'
import { checkNodes } from './check.ts'
import { storedAtMs, toLoan } from './entry.ts'
import { explained, isPassingRedisError } from './errors.ts'
import { RedisHeartbeats } from './heartbeats.ts'
import { RedisLink } from './link.ts'
import { RedisNodes } from './nodes.ts'
import { RedisPartition } from './partition.ts'
import { RedisReader } from './reader.ts'
import { RedisRun } from './run.ts'
import { sampleBatches } from './samples.ts'
import { type RedisTarget, readTarget } from './target.ts'

/** Onlookers look again after this; the pause doubles while nothing comes. */
const POLL_MIN_MS = 10
const POLL_MAX_MS = 100
/** Settled batches are trimmed at most this often, apart from the regular upkeep. */
const TRIM_EVERY_MS = 50
/** Closing gives back what is on loan for no longer than this. */
const GIVE_BACK_WITHIN_MS = 2_000

/**
 * The broker on Redis 7 Streams. Every step that must be atomic is one Lua script over the keys of one partition.
 * @throws UsageError when the URL is wrong, the server is a read-only replica or too old, or refuses us
 * @throws UnavailableError when the server does not answer in time, unless told to wait for it
 */
export async function openRedisBroker(url: string, options: BrokerOptions = {}): Promise<Broker> {
  const settings = brokerSettings(options)
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
  readonly #isClusterByUrl: boolean
  readonly #settings: BrokerSettings
  readonly #session = randomUUID()
  readonly #closing = new AbortController()
  readonly #links: readonly RedisLink[]
  readonly #streams: readonly RedisPartition[]
  readonly #heartbeats: RedisHeartbeats
  readonly #persistence: Persistence
  readonly #loans = new Loans()
  readonly #loanEnded = new Signal()
  readonly #stored = new Signal()
  readonly #runs = new Map<string, RedisRun>()
  readonly #readers = new Set<RedisReader>()
  readonly #background: Background
  readonly #timers: readonly NodeJS.Timeout[]
  readonly #trimmedAtMs: number[]
  #closed: Promise<void> | undefined
  #streamId: string | undefined
  /** Only who consumes lets old predictions and dead letters go. */
  #isConsumer = false

  constructor(target: RedisTarget, settings: BrokerSettings) {
    this.#isClusterByUrl = target.cluster
    this.#settings = settings
    this.partitions = settings.partitions
    const nodes = new RedisNodes(target.nodes)
    this.#links = Array.from({ length: settings.partitions }, () => new RedisLink(target, settings, nodes))
    this.#streams = this.#links.map((link, index) => new RedisPartition(index, link, settings))
    this.#heartbeats = new RedisHeartbeats(settings.stream, this.#links[0])
    this.#trimmedAtMs = this.#links.map(() => 0)
    this.#background = new Background(settings.log)
    this.#persistence = new Persistence({
      log: settings.log,
      pauseMinMs: 20,
      pauseMaxMs: settings.retryMaxMs,
      isPassing: isPassingRedisError,
    })
    this.#timers = [
      setInterval(() => this.#renewLoans(), settings.renewMs).unref(),
      setInterval(() => this.#trimAll(), settings.upkeepMs).unref(),
    ]
  }

  /** Finds out at once what no patience would mend. */
  async check(): Promise<void> {
    const { waitForBroker, connectTimeoutMs, log } = this.#settings
    const checked = { cluster: this.#isClusterByUrl, log }
    const deadline = waitForBroker ? [] : [AbortSignal.timeout(connectTimeoutMs)]
    const signal = AbortSignal.any([this.#closing.signal, ...deadline])
    try {
      await this.#keepTrying('connecting', () => checkNodes(this.#streams, checked), signal)
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
    return await this.#keepTrying('publishing', async () => {
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
    return await this.#keepTrying('reading a position', () => this.#run(run).read(run))
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
      unreadBatches: sum(all.map((backlog) => backlog.unreadBatches)),
      leasedBatches: sum(all.map((backlog) => backlog.leasedBatches)),
      events: sum(all.map((backlog) => backlog.events)),
      oldestAgeMs: Math.max(...all.map((backlog) => backlog.oldestAgeMs)),
    }
  }

  async totals(): Promise<Totals> {
    const all = await this.#ofAll('reading totals', (stream) => stream.totals())
    return {
      emitted: sum(all.map((totals) => totals.emitted)),
      predicted: sum(all.map((totals) => totals.predicted)),
      deadLettered: sum(all.map((totals) => totals.deadLettered)),
    }
  }

  async streamId(): Promise<string> {
    const [first] = this.#streams
    const proposed = this.#streamId ?? randomUUID().slice(0, 8)
    this.#streamId = await this.#keepTrying('reading the stream id', () => first.streamId(proposed))
    return this.#streamId
  }

  async *predictions(options: PredictionsOptions): AsyncGenerator<StoredPredictions, void, void> {
    const ends = AbortSignal.any([options.signal, this.#closing.signal])
    const cursors: string[] = []
    for (const stream of this.#streams)
      cursors.push((await this.#next(() => stream.startCursor(options), ends)) ?? '0-0')
    let pollMs = POLL_MIN_MS
    while (!ends.aborted) {
      let found = false
      for (const stream of this.#streams) {
        for (const stored of (await this.#next(() => stream.predictions(cursors[stream.index]), ends)) ??
          []) {
          if (ends.aborted) return
          found = true
          cursors[stream.index] = stored.cursor
          yield stored
        }
      }
      if (!found) await this.#stored.wait(pollMs, ends)
      pollMs = found ? POLL_MIN_MS : Math.min(pollMs * 2, POLL_MAX_MS)
    }
  }

  samples({ everyMs, signal }: SampleOptions): AsyncIterable<BatchMessage> {
    const ends = AbortSignal.any([signal, this.#closing.signal])
    const next = <T>(read: () => Promise<T>) => this.#next(read, ends)
    return sampleBatches({ streams: this.#streams, everyMs, ends, next })
  }

  async holdPredictions(reader: string, taken: ReadonlyMap<number, string>): Promise<void> {
    const hold = (stream: RedisPartition) => stream.holdPredictions(reader, taken.get(stream.index) ?? '0-0')
    await this.#ofAll('holding predictions', hold)
    // A Redis that has lost all since gives later cursors, so it stays the stream that it was.
    if (this.#streamId) await this.streamId()
  }

  async deadLetters({ limit }: { readonly limit: number }): Promise<StoredDeadLetter[]> {
    const all = await this.#ofAll('listing dead letters', (stream) => stream.deadLetters(limit))
    return all
      .flat()
      .toSorted((a, b) => storedAtMs(b) - storedAtMs(a) || b.diedAtMs - a.diedAtMs)
      .slice(0, limit)
  }

  async deadLetter(id: string): Promise<StoredDeadLetter | undefined> {
    return await this.#ofLetter(id, undefined, (stream, entryId) => stream.deadLetter(entryId))
  }

  async replayDeadLetter(id: string): Promise<boolean> {
    return await this.#ofLetter(id, false, (stream, entryId) => stream.replayDeadLetter(entryId))
  }

  async dropDeadLetter(id: string): Promise<boolean> {
    return await this.#ofLetter(id, false, (stream, entryId) => stream.dropDeadLetter(entryId))
  }

  async beat(beat: Omit<Heartbeat, 'alive' | 'beatAtMs'>): Promise<void> {
    await this.#keepTrying('beating', () => this.#heartbeats.beat(beat))
  }

  async leave(part: Pick<Heartbeat, 'role' | 'instance'>): Promise<void> {
    await this.#keepTrying('leaving', () => this.#heartbeats.leave(part))
  }

  async heartbeats(): Promise<Heartbeat[]> {
    return await this.#keepTrying('reading heartbeats', () => this.#heartbeats.read())
  }

  async ping(): Promise<void> {
    const [link] = this.#links
    try {
      await link.send(['PING'])
    } catch (cause) {
      throw new UnavailableError('broker_unreachable', `Redis at ${link.address} does not answer`, { cause })
    }
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
    const gaveBack = Promise.allSettled([...this.#readers].map((reader) => reader.done)).then(() =>
      Promise.allSettled([
        ...this.#streams.map((stream) => stream.release(this.#loansOf(stream))),
        this.#background.ended(),
      ]),
    )
    await Promise.race([gaveBack, pause(GIVE_BACK_WITHIN_MS, undefined, { ref: false })])
    await Promise.all(this.#links.map((link) => link.close()))
  }

  #openReader(options: DeliveryOptions): RedisReader {
    const streams = this.#streams.map((partition) => ({
      partition,
      link: partition.openLink(),
    }))
    const deps = {
      streams,
      settings: this.#settings,
      persistence: this.#persistence,
      loans: this.#loans,
      loanEnded: this.#loanEnded,
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
    const result = await this.#keepTrying(what, () => act(stream))
    this.#loans.remove(delivery.deliveryId)
    this.#loanEnded.notify()
    if (performance.now() - this.#trimmedAtMs[stream.index] > TRIM_EVERY_MS) this.#trim(stream)
    return result
  }

  async #ofAll<T>(what: string, act: (stream: RedisPartition) => Promise<T>): Promise<T[]> {
    return await this.#keepTrying(what, () => Promise.all(this.#streams.map(act)))
  }

  async #ofLetter<T>(
    id: string,
    none: T,
    act: (stream: RedisPartition, entryId: string) => Promise<T>,
  ): Promise<T> {
    const [, partition, entryId] = /^(\d+)\/(\d+-\d+)$/.exec(id) ?? []
    const stream = this.#streams[Number(partition)]
    if (stream === undefined || entryId === undefined) return none
    return await this.#keepTrying('at a dead letter', () => act(stream, entryId))
  }

  async #keepTrying<T>(what: string, act: () => Promise<T>, signal = this.#closing.signal): Promise<T> {
    const attempt = async () => {
      try {
        return await act()
      } catch (error) {
        throw explained(error, this.#links[0].address)
      }
    }
    return await this.#persistence.keepTrying(what, attempt, signal)
  }

  /** The result of a read within a loop, or undefined once the loop is to end. */
  async #next<T>(read: () => Promise<T>, ends: AbortSignal): Promise<T | undefined> {
    try {
      return await this.#keepTrying('reading', read, ends)
    } catch (error) {
      if (ends.aborted) return undefined
      throw error
    }
  }

  #loansOf(stream: RedisPartition): string[] {
    return this.#loans.ids().filter((id) => toLoan(id).partition === stream.index)
  }

  #renewLoans(): void {
    for (const stream of this.#streams) {
      const ids = this.#loansOf(stream)
      if (ids.length === 0) continue
      this.#background.start(`renew ${stream.index}`, async () => {
        for (const id of await stream.renew(ids)) this.#loans.remove(id)
        this.#loanEnded.notify()
      })
    }
  }

  #trimAll(): void {
    for (const stream of this.#streams) this.#trim(stream)
  }

  #trim(stream: RedisPartition): void {
    this.#trimmedAtMs[stream.index] = performance.now()
    this.#background.start(`trim ${stream.index}`, () => stream.trim(this.#isConsumer))
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
