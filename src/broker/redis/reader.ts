import { Signal } from '../../async/signal.ts'
import type { Delivery, DeliveryOptions } from '../contract.ts'
import type { Loans } from '../leases.ts'
import type { BrokerSettings } from '../options.ts'
import type { Persistence } from '../persist.ts'
import { readEntries, toDelivery, toLoan } from './entry.ts'
import { explained, replyCode } from './errors.ts'
import type { RedisLink } from './link.ts'
import type { RedisPartition } from './partition.ts'

/** A blocking read ends after this, so that closing is prompt and abandoned loans are seen. */
const BLOCK_MS = 200
/** Batches read at once from one partition: about two megabytes. */
const BATCHES_AT_ONCE = 4
/** Abandoned loans are looked for this often, or four times per visibility timeout where that is more often. */
const CLAIM_EVERY_MS = 250

export interface ReaderDeps {
  readonly settings: BrokerSettings
  readonly persistence: Persistence
  readonly loans: Loans
  /** Happens whenever a loan ends, so that there is room for another. */
  readonly loanEnded: Signal
  /** A partition with the connection that its blocking reads may hold; the reader closes the connection. */
  readonly streams: readonly { readonly partition: RedisPartition; readonly link: RedisLink }[]
}

/**
 * Reads all partitions for one consumer, each on a connection of its own, into one queue. What is read counts as on
 * loan at once, so that queue and loans together never exceed `leasesMax`. When it ends, what nobody took is released.
 */
export class RedisReader {
  /** Resolves when all reading has ended and what was not taken is released; rejects when reading failed for good. */
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
    // Also seen by whoever awaits it; without this line a failure between two pulls would end the process.
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
    await this.#claimFormerLife(partition)
    let claimAtMs = 0
    while (!this.#ends.aborted) {
      const room = this.#reserve()
      if (room === 0) {
        await this.#deps.loanEnded.wait(BLOCK_MS, this.#ends)
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
      await this.#letOthersHaveRoom()
    }
  }

  async #claimAbandoned(partition: RedisPartition, max: number): Promise<Delivery[] | undefined> {
    const idleMs = this.#deps.settings.visibilityMs
    return await this.#try(partition, () => partition.claim(this.#options.consumer, { max, idleMs }))
  }

  /** With few places and many partitions, the one that has just read must not be first to reserve again. */
  async #letOthersHaveRoom(): Promise<void> {
    if (this.#deps.streams.length === 1) return
    this.#deps.loanEnded.notify()
    await this.#deps.loanEnded.wait(1, this.#ends)
  }

  /** Loans of a consumer of this name that this process knows nothing of: it died and has come back. */
  async #claimFormerLife(partition: RedisPartition): Promise<void> {
    const { consumer } = this.#options
    const { loans } = this.#deps
    for (;;) {
      while (!this.#ends.aborted && this.#reserve(1) === 0)
        await this.#deps.loanEnded.wait(BLOCK_MS, this.#ends)
      if (this.#ends.aborted) return
      try {
        const here = loans
          .ids()
          .map(toLoan)
          .filter((loan) => loan.partition === partition.index)
        const known = new Set(here.map((loan) => loan.entryId))
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
    const { group } = this.#deps.settings
    const { consumer } = this.#options
    // With fewer places than partitions they take turns.
    const blockMs = this.#options.leasesMax < this.#deps.streams.length ? BLOCK_MS / 4 : BLOCK_MS
    const how = ['COUNT', `${count}`, 'BLOCK', `${blockMs}`, 'STREAMS', partition.keys.batches, '>']
    const reply = await link.send(['XREADGROUP', 'GROUP', group, consumer, ...how], blockMs)
    const stream: unknown = Array.isArray(reply) ? reply[0] : undefined
    const entries = readEntries(Array.isArray(stream) ? stream[1] : undefined)
    return entries.map((entry) => toDelivery(entry, partition.index, 1, consumer))
  }

  /** Tries until it works or the reader ends (then undefined); a group or stream that has vanished is made again. */
  async #try<T>(partition: RedisPartition, act: () => Promise<T>): Promise<T | undefined> {
    const { persistence } = this.#deps
    const attempt = async () => {
      try {
        return await act()
      } catch (error) {
        if (!isGroupGone(error)) throw explained(error, partition.address)
        await partition.ensureGroup()
        return undefined
      }
    }
    try {
      return await persistence.keepTrying('reading batches', attempt, this.#ends)
    } catch (error) {
      if (this.#ends.aborted) return undefined
      throw error
    }
  }

  /** Sets aside places for what is about to be read, at most `max`; a fair share of what is free. */
  #reserve(max = BATCHES_AT_ONCE): number {
    const free = this.#options.leasesMax - this.#deps.loans.countOf(this.#options.consumer) - this.#reserved
    const share = Math.ceil(free / this.#deps.streams.length)
    const places = Math.max(0, Math.min(max, share))
    this.#reserved += places
    return places
  }

  #take(delivery: Delivery): void {
    this.#deps.loans.add(delivery.deliveryId, this.#options.consumer)
    this.#queue.push(delivery)
    this.#arrived.notify()
  }

  async #releaseQueue(): Promise<void> {
    const left = this.#queue.splice(0)
    for (const { deliveryId } of left) this.#deps.loans.remove(deliveryId)
    await Promise.allSettled(
      this.#deps.streams.map(async ({ partition }) => {
        const ids = left.filter((delivery) => delivery.partition === partition.index).map((d) => d.deliveryId)
        // Should this fail, they come up again after the visibility timeout.
        if (ids.length > 0) await partition.release(ids)
      }),
    )
    this.#deps.loanEnded.notify()
  }
}

/** The group or its stream was deleted, before the command or while it was blocked. */
function isGroupGone(error: unknown): boolean {
  const code = replyCode(error)
  return code === 'NOGROUP' || code === 'UNBLOCKED'
}
