import { randomUUID } from 'node:crypto'
import { sleep } from '../../async/deadline.ts'
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
import { isDiskFull, isSqliteLock, retryReasonOf, SqliteFile } from './file.ts'
import * as read from './reader.ts'
import * as stream from './stream.ts'
import { DiskRoom, trim } from './upkeep.ts'

/** Pause between two reads; it doubles while nothing comes. Other processes cannot notify this one. */
const POLL_MIN_MS = 2
const POLL_MAX_MS = 20
/** A batch of another process may be settled within this time. */
const SAMPLE_POLL_MS = 4
/** A shorter lock of another process is normal. */
const LOCK_NORMAL_MS = 2_000

/**
 * The broker in one SQLite file. Several processes may use it at once. Calls run on the caller's thread, about a
 * millisecond each; what is committed survives SIGKILL.
 * @throws UsageError when the file is damaged, foreign or may not be written to
 */
export async function openSqliteBroker(path: string, settings: BrokerSettings): Promise<Broker> {
  return new SqliteBroker(new SqliteFile(path), settings)
}

class SqliteBroker implements Broker {
  readonly partitions: number
  readonly #file: SqliteFile
  readonly #settings: BrokerSettings
  readonly #session = randomUUID()
  readonly #closing = new AbortController()
  readonly #change = new Signal()
  readonly #leases = new Leases()
  readonly #published = new Set<string>()
  /** Only a consumer deletes old predictions and dead letters. */
  #isConsumer = false
  readonly #retry: BrokerRetry
  readonly #room: DiskRoom
  readonly #renewal: NodeJS.Timeout
  readonly #upkeep: NodeJS.Timeout

  constructor(file: SqliteFile, settings: BrokerSettings) {
    this.#file = file
    this.#settings = settings
    this.partitions = settings.partitions
    this.#room = new DiskRoom(file.path, settings.diskFreeMinBytes)
    this.#retry = new BrokerRetry({
      log: settings.log,
      firstMs: 2,
      capMs: settings.retryMaxMs,
      reasonOf: retryReasonOf,
      isNormal: (error, triedForMs) => isSqliteLock(error) && triedForMs <= LOCK_NORMAL_MS,
      onRetry: (reason) => settings.observer?.retried(reason),
    })
    this.#renewal = setInterval(() => this.#renewLeases(), settings.renewMs).unref()
    this.#upkeep = setInterval(
      () => this.#background(() => trim(file, settings, this.#isConsumer)),
      settings.upkeepMs,
    ).unref()
  }

  async publish(
    message: BatchMessage | undefined,
    position?: RunPosition,
    deadLetters: readonly DeadLetter[] = [],
  ): Promise<'stored' | 'repeat'> {
    const partition = partitionOf(message?.batchId ?? '', position?.sequence, this.partitions)
    const bytes = message?.payload.byteLength ?? 0
    const result = await this.#try('publishing', () => {
      this.#room.require(bytes, this.#file)
      const hasPublished = position !== undefined && this.#published.has(position.run)
      const publisher = this.#session
      return stream.publish(this.#file, {
        message,
        partition,
        position,
        deadLetters,
        publisher,
        hasPublished,
      })
    })
    if (position) this.#published.add(position.run)
    this.#change.notify()
    return result
  }

  async position(run: string): Promise<RunPosition | undefined> {
    return await this.#try('reading a position', () => stream.readPosition(this.#file, run))
  }

  async *deliveries({ consumer, leasesMax, signal }: DeliveryOptions): AsyncGenerator<Delivery, void, void> {
    const ends = AbortSignal.any([signal, this.#closing.signal])
    const lessee = { consumer, session: this.#session, visibilityMs: this.#settings.visibilityMs }
    let pollMs = POLL_MIN_MS
    this.#isConsumer = true
    while (!ends.aborted) {
      const mayLease = this.#leases.countOf(consumer) < leasesMax
      const delivery = mayLease ? await this.#next(() => stream.claim(this.#file, lessee), ends) : undefined
      if (delivery) {
        pollMs = POLL_MIN_MS
        this.#leases.add(delivery.deliveryId, consumer)
        yield delivery
      } else {
        await this.#change.wait(pollMs, ends)
        pollMs = Math.min(pollMs * 2, POLL_MAX_MS)
      }
    }
  }

  async settle(delivery: Delivery, settlement: Settlement): Promise<SettleResult> {
    return await this.#finish(delivery, 'settling', () => stream.settle(this.#file, delivery, settlement))
  }

  async split(delivery: Delivery, parts: readonly BatchMessage[]): Promise<SettleResult> {
    return await this.#finish(delivery, 'splitting', () => stream.split(this.#file, delivery, parts))
  }

  async release(delivery: Delivery): Promise<void> {
    await this.#finish(delivery, 'releasing', () => stream.release(this.#file, delivery.deliveryId))
  }

  async backlog(): Promise<Backlog> {
    return await this.#try('reading the backlog', () => read.readBacklog(this.#file))
  }

  async totals(): Promise<Totals> {
    return await this.#try('reading totals', () => read.readTotals(this.#file))
  }

  async *predictions(options: PredictionsOptions): AsyncGenerator<StoredPredictions, void, void> {
    const ends = AbortSignal.any([options.signal, this.#closing.signal])
    const start = (partition: number) => () => read.startCursor(this.#file, partition, options)
    const cursors: number[] = []
    for (let p = 0; p < this.partitions; p++) cursors.push((await this.#next(start(p), ends)) ?? 0)
    let pollMs = POLL_MIN_MS
    while (!ends.aborted) {
      let found = false
      for (const partition of cursors.keys()) {
        const page = () => read.readPredictions(this.#file, partition, cursors[partition])
        for (const stored of (await this.#next(page, ends)) ?? []) {
          if (ends.aborted) return
          found = true
          cursors[partition] = Number(stored.cursor)
          yield stored
        }
      }
      if (found) {
        pollMs = POLL_MIN_MS
      } else {
        await this.#change.wait(pollMs, ends)
        pollMs = Math.min(pollMs * 2, POLL_MAX_MS)
      }
    }
  }

  async *samples({ everyMs, signal }: SampleOptions): AsyncGenerator<BatchMessage, void, void> {
    const ends = AbortSignal.any([signal, this.#closing.signal])
    let seen = 0
    while (!ends.aborted) {
      const newest = await this.#next(() => read.readNewestBatch(this.#file, seen), ends)
      if (newest && !ends.aborted) {
        seen = newest.seq
        yield newest.message
        await sleep(everyMs, ends)
      } else {
        await this.#change.wait(SAMPLE_POLL_MS, ends)
      }
    }
  }

  async streamId(): Promise<string> {
    return await this.#try('reading the id of the stream', () => read.readStreamId(this.#file))
  }

  async holdPredictions(reader: string, taken: ReadonlyMap<number, string>): Promise<void> {
    const hold = () => read.holdPredictions(this.#file, reader, taken)
    await this.#try('holding predictions', hold)
  }

  async deadLetters({ limit }: { readonly limit: number }): Promise<StoredDeadLetter[]> {
    return await this.#try('listing dead letters', () => stream.listDeadLetters(this.#file, limit))
  }

  async deadLetter(id: string): Promise<StoredDeadLetter | undefined> {
    return await this.#try('reading a dead letter', () => stream.readDeadLetter(this.#file, id))
  }

  async replayDeadLetter(id: string): Promise<boolean> {
    const partition = partitionOf(id, undefined, this.partitions)
    const replay = () => stream.replayDeadLetter(this.#file, id, partition)
    const isReplayed = await this.#try('replaying a dead letter', replay)
    this.#change.notify()
    return isReplayed
  }

  async dropDeadLetter(id: string): Promise<boolean> {
    return await this.#try('dropping a dead letter', () => stream.dropDeadLetter(this.#file, id))
  }

  async beat(beat: Omit<Heartbeat, 'alive' | 'beatAtMs'>): Promise<void> {
    await this.#try('beating', () => read.storeBeat(this.#file, beat))
  }

  async leave(part: Pick<Heartbeat, 'role' | 'instance'>): Promise<void> {
    await this.#try('leaving', () => read.dropBeat(this.#file, part))
  }

  async heartbeats(): Promise<Heartbeat[]> {
    return await this.#try('reading heartbeats', () => read.readHeartbeats(this.#file))
  }

  async ping(): Promise<void> {
    try {
      if (this.#closing.signal.aborted) throw new Error('the broker was closed')
      this.#file.requirePresent()
      this.#file.number('SELECT 1')
    } catch (cause) {
      throw new UnavailableError('broker_unreachable', `broker file ${this.#file.path} does not answer`, {
        cause,
      })
    }
  }

  async checkWritable(): Promise<void> {
    await this.ping()
    this.#room.require(0, this.#file)
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    clearInterval(this.#renewal)
    clearInterval(this.#upkeep)
    this.#background(() => {
      for (const id of this.#leases.ids()) stream.release(this.#file, id)
    })
    this.#file.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #finish<T>(delivery: Delivery, what: string, act: () => T): Promise<T> {
    const result = await this.#try(what, act)
    this.#leases.remove(delivery.deliveryId)
    this.#change.notify()
    return result
  }

  async #try<T>(what: string, act: () => T): Promise<T> {
    return await this.#retry.run(what, () => this.#explained(act), this.#closing.signal)
  }

  /** The result of a read within a loop, or undefined once the loop is to end. */
  async #next<T>(read: () => T, ends: AbortSignal): Promise<T | undefined> {
    try {
      return await this.#retry.run('reading', () => this.#explained(read), ends)
    } catch (error) {
      if (ends.aborted) return undefined
      throw error
    }
  }

  #explained<T>(act: () => T): T {
    try {
      const result = act()
      this.#file.requirePresent()
      return result
    } catch (error) {
      // The write-ahead log may take the room that is missing, and its content may be in the file already.
      if (isDiskFull(error)) this.#background(() => this.#file.emptyLog())
      throw this.#file.explained(error)
    }
  }

  #renewLeases(): void {
    const ids = this.#leases.ids()
    if (ids.length === 0) return
    this.#background(() => {
      for (const id of stream.renew(this.#file, ids, this.#settings.visibilityMs)) this.#leases.remove(id)
      this.#change.notify()
    })
  }

  /** Periodic work whose failure is logged only. */
  #background(work: () => void): void {
    try {
      work()
    } catch (err) {
      this.#settings.log?.debug({ err }, 'broker upkeep failed, it runs again later')
    }
  }
}
