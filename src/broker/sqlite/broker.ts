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
import { DiskRoom } from '../disk-room.ts'
import { Loans } from '../leases.ts'
import { type BrokerOptions, type BrokerSettings, brokerSettings } from '../options.ts'
import { partitionOf } from '../partition.ts'
import { Persistence } from '../persist.ts'
import * as letters from './dead-letters.ts'
import { isDiskFull, isPassingSqliteError, isSqliteLock, SqliteFile } from './file.ts'
import { claim, release, renew } from './lease.ts'
import { publish, readPosition } from './publish.ts'
import * as onlook from './reader.ts'
import { settle, split } from './settle.ts'
import { trim } from './upkeep.ts'

/** A waiting reader looks again after this; the pause doubles while nothing comes, for other processes tell it nothing. */
const POLL_MIN_MS = 2
const POLL_MAX_MS = 20
/** A batch of another process may be here for no longer than this before it is settled and gone. */
const SAMPLE_POLL_MS = 4
/** A lock of another process is worth a line only when it lasts. */
const LOCK_LINE_AFTER_MS = 2_000

/**
 * The broker in one SQLite file. Several processes may use it at once. Calls run on the caller's thread, about a
 * millisecond each; what is committed survives SIGKILL.
 * @throws UsageError when the file is damaged, foreign or may not be written to
 */
export async function openSqliteBroker(path: string, options: BrokerOptions = {}): Promise<Broker> {
  return new SqliteBroker(new SqliteFile(path), brokerSettings(options))
}

class SqliteBroker implements Broker {
  readonly partitions: number
  readonly #file: SqliteFile
  readonly #settings: BrokerSettings
  readonly #session = randomUUID()
  readonly #closing = new AbortController()
  readonly #change = new Signal()
  readonly #loans = new Loans()
  readonly #published = new Set<string>()
  /** Only who consumes lets old predictions and dead letters go. */
  #isConsumer = false
  readonly #persistence: Persistence
  readonly #room: DiskRoom
  readonly #renewal: NodeJS.Timeout
  readonly #upkeep: NodeJS.Timeout

  constructor(file: SqliteFile, settings: BrokerSettings) {
    this.#file = file
    this.#settings = settings
    this.partitions = settings.partitions
    this.#room = new DiskRoom(file.path, settings.diskFreeMinBytes)
    this.#persistence = new Persistence({
      log: settings.log,
      pauseMinMs: 2,
      pauseMaxMs: settings.retryMaxMs,
      isPassing: (error) => error instanceof UnavailableError || isPassingSqliteError(error),
      isWorthALine: (error, triedForMs) => !isSqliteLock(error) || triedForMs > LOCK_LINE_AFTER_MS,
    })
    this.#renewal = setInterval(() => this.#renewLoans(), settings.renewMs).unref()
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
    const result = await this.#keepTrying('publishing', () => {
      this.#room.require(bytes, this.#file)
      const hasPublished = position !== undefined && this.#published.has(position.run)
      const publisher = this.#session
      return publish(this.#file, { message, partition, position, deadLetters, publisher, hasPublished })
    })
    if (position) this.#published.add(position.run)
    this.#change.notify()
    return result
  }

  async position(run: string): Promise<RunPosition | undefined> {
    return await this.#keepTrying('reading a position', () => readPosition(this.#file, run))
  }

  async *deliveries({ consumer, leasesMax, signal }: DeliveryOptions): AsyncGenerator<Delivery, void, void> {
    const ends = AbortSignal.any([signal, this.#closing.signal])
    const borrower = { consumer, session: this.#session, visibilityMs: this.#settings.visibilityMs }
    let pollMs = POLL_MIN_MS
    this.#isConsumer = true
    while (!ends.aborted) {
      const mayBorrow = this.#loans.countOf(consumer) < leasesMax
      const delivery = mayBorrow ? await this.#next(() => claim(this.#file, borrower), ends) : undefined
      if (delivery) {
        pollMs = POLL_MIN_MS
        this.#loans.add(delivery.deliveryId, consumer)
        yield delivery
      } else {
        await this.#change.wait(pollMs, ends)
        pollMs = Math.min(pollMs * 2, POLL_MAX_MS)
      }
    }
  }

  async settle(delivery: Delivery, settlement: Settlement): Promise<SettleResult> {
    return await this.#finish(delivery, 'settling', () => settle(this.#file, delivery, settlement))
  }

  async split(delivery: Delivery, parts: readonly BatchMessage[]): Promise<SettleResult> {
    return await this.#finish(delivery, 'splitting', () => split(this.#file, delivery, parts))
  }

  async release(delivery: Delivery): Promise<void> {
    await this.#finish(delivery, 'releasing', () => release(this.#file, delivery.deliveryId))
  }

  async backlog(): Promise<Backlog> {
    return await this.#keepTrying('reading the backlog', () => onlook.readBacklog(this.#file))
  }

  async totals(): Promise<Totals> {
    return await this.#keepTrying('reading totals', () => onlook.readTotals(this.#file))
  }

  async *predictions(options: PredictionsOptions): AsyncGenerator<StoredPredictions, void, void> {
    const ends = AbortSignal.any([options.signal, this.#closing.signal])
    const start = (partition: number) => () => onlook.startCursor(this.#file, partition, options)
    const cursors: number[] = []
    for (let p = 0; p < this.partitions; p++) cursors.push((await this.#next(start(p), ends)) ?? 0)
    let pollMs = POLL_MIN_MS
    while (!ends.aborted) {
      let found = false
      for (const partition of cursors.keys()) {
        const read = () => onlook.readPredictions(this.#file, partition, cursors[partition])
        for (const stored of (await this.#next(read, ends)) ?? []) {
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
      const newest = await this.#next(() => onlook.readNewestBatch(this.#file, seen), ends)
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
    return await this.#keepTrying('reading the id of the stream', () => onlook.readStreamId(this.#file))
  }

  async holdPredictions(reader: string, taken: ReadonlyMap<number, string>): Promise<void> {
    const hold = () => onlook.holdPredictions(this.#file, reader, taken)
    await this.#keepTrying('holding predictions', hold)
  }

  async deadLetters({ limit }: { readonly limit: number }): Promise<StoredDeadLetter[]> {
    return await this.#keepTrying('listing dead letters', () => letters.listDeadLetters(this.#file, limit))
  }

  async deadLetter(id: string): Promise<StoredDeadLetter | undefined> {
    return await this.#keepTrying('reading a dead letter', () => letters.readDeadLetter(this.#file, id))
  }

  async replayDeadLetter(id: string): Promise<boolean> {
    const partition = partitionOf(id, undefined, this.partitions)
    const replay = () => letters.replayDeadLetter(this.#file, id, partition)
    const isReplayed = await this.#keepTrying('replaying a dead letter', replay)
    this.#change.notify()
    return isReplayed
  }

  async dropDeadLetter(id: string): Promise<boolean> {
    return await this.#keepTrying('dropping a dead letter', () => letters.dropDeadLetter(this.#file, id))
  }

  async beat(beat: Omit<Heartbeat, 'alive' | 'beatAtMs'>): Promise<void> {
    await this.#keepTrying('beating', () => onlook.storeBeat(this.#file, beat))
  }

  async leave(part: Pick<Heartbeat, 'role' | 'instance'>): Promise<void> {
    await this.#keepTrying('leaving', () => onlook.dropBeat(this.#file, part))
  }

  async heartbeats(): Promise<Heartbeat[]> {
    return await this.#keepTrying('reading heartbeats', () => onlook.readHeartbeats(this.#file))
  }

  async ping(): Promise<void> {
    try {
      if (this.#closing.signal.aborted) throw new Error('the broker was closed')
      this.#file.number('SELECT 1')
    } catch (cause) {
      throw new UnavailableError('broker_unreachable', `broker file ${this.#file.path} does not answer`, {
        cause,
      })
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    clearInterval(this.#renewal)
    clearInterval(this.#upkeep)
    this.#background(() => {
      for (const id of this.#loans.ids()) release(this.#file, id)
    })
    this.#file.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #finish<T>(delivery: Delivery, what: string, act: () => T): Promise<T> {
    const result = await this.#keepTrying(what, act)
    this.#loans.remove(delivery.deliveryId)
    this.#change.notify()
    return result
  }

  async #keepTrying<T>(what: string, act: () => T): Promise<T> {
    return await this.#persistence.keepTrying(what, () => this.#explained(act), this.#closing.signal)
  }

  /** The result of a read within a loop, or undefined once the loop is to end. */
  async #next<T>(read: () => T, ends: AbortSignal): Promise<T | undefined> {
    try {
      return await this.#persistence.keepTrying('reading', () => this.#explained(read), ends)
    } catch (error) {
      if (ends.aborted) return undefined
      throw error
    }
  }

  #explained<T>(act: () => T): T {
    try {
      return act()
    } catch (error) {
      // The log may take the room that is missing, though all it holds could be in the file by now.
      if (isDiskFull(error)) this.#background(() => this.#file.emptyLog())
      throw this.#file.explained(error)
    }
  }

  #renewLoans(): void {
    const ids = this.#loans.ids()
    if (ids.length === 0) return
    this.#background(() => {
      for (const id of renew(this.#file, ids, this.#settings.visibilityMs)) this.#loans.remove(id)
      this.#change.notify()
    })
  }

  /** Work that nobody waits for and that comes again: its failure is a line, not an error. */
  #background(work: () => void): void {
    try {
      work()
    } catch (err) {
      this.#settings.log?.debug({ err }, 'broker upkeep put off')
    }
  }
}
