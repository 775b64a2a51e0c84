import { sleep } from '../../async/deadline.ts'
import { Signal } from '../../async/signal.ts'
import type {
  BatchMessage,
  Delivery,
  DeliveryOptions,
  PredictionsOptions,
  StoredPredictions,
} from '../contract.ts'
import type { Leases } from '../leases.ts'
import type { BrokerSettings } from '../options.ts'
import type { BrokerRetry } from '../retry.ts'
import { explained, replyCode } from './errors.ts'
import { readEntries, toDelivery, toLease } from './layout.ts'
import type { RedisLink } from './link.ts'
import { GROUP, type NewestBatch, type RedisPartition } from './partition.ts'

/** A blocking read ends after this, so that closing is prompt and abandoned leases are seen. */
const BLOCK_MS = 200
/** Batches read at once from one partition: about two megabytes. */
const BATCHES_AT_ONCE = 4
/** Pause between two reads of predictions; it doubles while nothing comes. */
const POLL_MIN_MS = 10
const POLL_MAX_MS = 100
/** Pause between two searches for abandoned leases; a quarter of the visibility timeout where that is less. */
const CLAIM_EVERY_MS = 250

export interface ReaderDeps {
  readonly settings: BrokerSettings
  readonly retry: BrokerRetry
  readonly leases: Leases
  /** Notified whenever a lease ends, so that there is room for another. */
  readonly leaseEnded: Signal
  /** A partition with the connection that its blocking reads may hold; the reader closes the connection. */
  readonly streams: readonly { readonly partition: RedisPartition; readonly link: RedisLink }[]
}

/**
 * Reads all partitions for one consumer, each on a connection of its own, into one queue. A batch counts as leased as soon as
 * it is read, so that queue and leases together never exceed `leasesMax`. When the reader ends, it releases its queue.
 */
export class RedisReader {
  /** Resolves when all reading has ended and the queue is released; rejects when reading failed for good. */
  readonly done: Promise<void>
  readonly #deps: ReaderDeps
  readonly #options: DeliveryOptions
  readonly #stop = new AbortController()
  readonly #ends: AbortSignal
  readonly #queue: Delivery[] = []
  readonly #arrived = new Signal()
  #reserved = 0

  constructor(deps: ReaderDeps, options: DeliveryOptions, closing: AbortSignal) {
    this.#deps = deps
    this.#options = options
    this.#ends = AbortSignal.any([options.signal, closing, this.#stop.signal])
    this.done = this.#readAll()
    // The failure is thrown to whoever awaits `done`; without this line, one between two pulls would end the process.
    this.done.catch(() => undefined)
  }

  /** The next delivery, or undefined once the reader has ended. */
  async next(): Promise<Delivery | undefined> {
    while (!this.#ends.aborted) {
      const delivery = this.#queue.shift()
      if (delivery) return delivery
      await this.#arrived.wait(BLOCK_MS, this.#ends)
    }
    return undefined
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.done
  }

  async #readAll(): Promise<void> {
    const { streams } = this.#deps
    const reads = streams.map(async (stream) => {
      try {
        await this.#read(stream)
      } finally {
        this.#stop.abort()
        await stream.link.close()
      }
    })
    const outcomes = await Promise.allSettled(reads)
    await this.#releaseQueue()
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async #read({ partition, link }: ReaderDeps['streams'][number]): Promise<void> {
    const { settings } = this.#deps
    const claimEveryMs = Math.min(CLAIM_EVERY_MS, settings.visibilityMs / 4)
    await this.#try(partition, async () => {
      await partition.ensureGroup()
      await partition.trim(true)
    })
    await this.#claimOwn(partition)
    let claimAtMs = 0
    while (!this.#ends.aborted) {
      const room = this.#reserve()
      if (room === 0) {
        await this.#deps.leaseEnded.wait(BLOCK_MS, this.#ends)
        continue
      }
      let found: Delivery[] | undefined
      try {
        if (performance.now() >= claimAtMs) {
          found = await this.#claimAbandoned(partition, room)
          if (!found?.length) claimAtMs = performance.now() + claimEveryMs
        }
        if (!found?.length) found = await this.#try(partition, () => this.#readNew(partition, link, room))
      } finally {
        this.#reserved -= room
      }
      for (const delivery of found ?? []) this.#take(delivery)
      await this.#giveTurn()
    }
  }

  async #claimAbandoned(partition: RedisPartition, max: number): Promise<Delivery[] | undefined> {
    const idleMs = this.#deps.settings.visibilityMs
    return await this.#try(partition, () => partition.claim(this.#options.consumer, { max, idleMs }))
  }

  /** With few leases and many partitions, the one that has just read must not be first to reserve again. */
  async #giveTurn(): Promise<void> {
    if (this.#deps.streams.length === 1) return
    this.#deps.leaseEnded.notify()
    await this.#deps.leaseEnded.wait(1, this.#ends)
  }

  /** Claims the leases of a consumer of this name that this process does not know: it died and was started again. */
  async #claimOwn(partition: RedisPartition): Promise<void> {
    const { consumer } = this.#options
    const { leases } = this.#deps
    for (;;) {
      while (!this.#ends.aborted && this.#reserve(1) === 0)
        await this.#deps.leaseEnded.wait(BLOCK_MS, this.#ends)
      if (this.#ends.aborted) return
      try {
        const here = leases
          .ids()
          .map(toLease)
          .filter((lease) => lease.partition === partition.index)
        const known = new Set(here.map((lease) => lease.entryId))
        const claim = () => partition.claim(consumer, { max: 1, idleMs: 0, formerlyOf: consumer, known })
        const found = await this.#try(partition, claim)
        if (!found?.length) return
        for (const delivery of found) this.#take(delivery)
      } finally {
        this.#reserved -= 1
      }
    }
  }

  async #readNew(partition: RedisPartition, link: RedisLink, count: number): Promise<Delivery[]> {
    const { consumer } = this.#options
    // With fewer leases than partitions they take turns.
    const blockMs = this.#options.leasesMax < this.#deps.streams.length ? BLOCK_MS / 4 : BLOCK_MS
    const how = ['COUNT', `${count}`, 'BLOCK', `${blockMs}`, 'STREAMS', partition.keys.batches, '>']
    const reply = await link.send(['XREADGROUP', 'GROUP', GROUP, consumer, ...how], blockMs)
    const stream: unknown = Array.isArray(reply) ? reply[0] : undefined
    const entries = readEntries(Array.isArray(stream) ? stream[1] : undefined)
    return entries.map((entry) => toDelivery(entry, partition.index, 1, consumer))
  }

  /** Tries until it works or the reader ends (then undefined). A group or stream that was deleted is created again. */
  async #try<T>(partition: RedisPartition, act: () => Promise<T>): Promise<T | undefined> {
    const { retry } = this.#deps
    const attempt = async () => {
      try {
        return await act()
      } catch (error) {
        if (!isGroupGone(error)) throw explained(error, partition.address, true)
        await partition.ensureGroup()
        return undefined
      }
    }
    try {
      return await retry.run('reading batches', attempt, this.#ends)
    } catch (error) {
      if (this.#ends.aborted) return undefined
      throw error
    }
  }

  /** Reserves leases for the next read: a fair share of what is free, at most `max`. */
  #reserve(max = BATCHES_AT_ONCE): number {
    const free = this.#options.leasesMax - this.#deps.leases.countOf(this.#options.consumer) - this.#reserved
    const share = Math.ceil(free / this.#deps.streams.length)
    const count = Math.max(0, Math.min(max, share))
    this.#reserved += count
    return count
  }

  #take(delivery: Delivery): void {
    this.#deps.leases.add(delivery.deliveryId, this.#options.consumer)
    this.#queue.push(delivery)
    this.#arrived.notify()
  }

  async #releaseQueue(): Promise<void> {
    const left = this.#queue.splice(0)
    for (const { deliveryId } of left) this.#deps.leases.remove(deliveryId)
    await Promise.allSettled(
      this.#deps.streams.map(async ({ partition }) => {
        const ids = left.filter((delivery) => delivery.partition === partition.index).map((d) => d.deliveryId)
        // If this fails, others get them after the visibility timeout.
        if (ids.length > 0) await partition.release(ids)
      }),
    )
    this.#deps.leaseEnded.notify()
  }
}

/** The group or its stream was deleted, before the command or while it was blocked. */
function isGroupGone(error: unknown): boolean {
  const code = replyCode(error)
  return code === 'NOGROUP' || code === 'UNBLOCKED'
}

export interface PredictionDeps {
  readonly streams: readonly RedisPartition[]
  readonly options: PredictionsOptions
  readonly ends: AbortSignal
  /** Notified when this process has stored predictions. */
  readonly stored: Signal
  /** Retries; returns undefined once reading is to end. */
  next<T>(read: () => Promise<T>): Promise<T | undefined>
}

/** The predictions of all partitions, a page of each in turn. */
export async function* readPredictions(deps: PredictionDeps): AsyncGenerator<StoredPredictions, void, void> {
  const { streams, options, ends, stored, next } = deps
  const cursors: string[] = []
  for (const stream of streams) cursors.push((await next(() => stream.startCursor(options))) ?? '0-0')
  let pollMs = POLL_MIN_MS
  while (!ends.aborted) {
    let found = false
    for (const stream of streams) {
      const page = await next(() => stream.predictions(cursors[stream.index]))
      for (const predictions of page ?? []) {
        if (ends.aborted) return
        found = true
        cursors[stream.index] = predictions.cursor
        yield predictions
      }
    }
    if (!found) await stored.wait(pollMs, ends)
    pollMs = found ? POLL_MIN_MS : Math.min(pollMs * 2, POLL_MAX_MS)
  }
}

export interface SampleDeps {
  readonly streams: readonly RedisPartition[]
  readonly everyMs: number
  readonly ends: AbortSignal
  /** Retries; returns undefined once sampling is to end. */
  next(read: () => Promise<NewestBatch | undefined>): Promise<NewestBatch | undefined>
}

/** The newest batch of one partition after another. Blocking reads have connections of their own. */
export async function* sampleBatches(deps: SampleDeps): AsyncGenerator<BatchMessage, void, void> {
  const { streams, everyMs, ends } = deps
  const links = streams.map((stream) => stream.openLink())
  const seen = new Map<RedisPartition, string>()
  try {
    for (let turn = 0; !ends.aborted; turn++) {
      const stream = streams[turn % streams.length]
      const link = links[turn % links.length]
      const newest = await deps.next(() => stream.newestBatch(link, seen.get(stream)))
      if (!newest || ends.aborted) continue
      seen.set(stream, newest.id)
      yield newest.message
      await sleep(everyMs, ends)
    }
  } finally {
    await Promise.all(links.map((link) => link.close()))
  }
}
