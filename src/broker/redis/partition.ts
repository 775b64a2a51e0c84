import { randomUUID } from 'node:crypto'
import { UnavailableError } from '../../errors.ts'
import type {
  Backlog,
  BatchMessage,
  DeadLetter,
  Delivery,
  PredictionsOptions,
  Settlement,
  SettleResult,
  StoredDeadLetter,
  StoredPredictions,
  Totals,
} from '../contract.ts'
import type { BrokerSettings } from '../options.ts'
import { retryReasonOf } from './errors.ts'
import {
  type PartitionKeys,
  partitionKeys,
  type RedisLease,
  readEntries,
  type StreamEntry,
  toDeadLetter,
  toDelivery,
  toLease,
  toPredictions,
} from './layout.ts'
import type { RedisArgument, RedisLink } from './link.ts'
import { SCRIPTS, type Script } from './scripts.ts'

/** The consumer group of all consumers of a stream. */
export const GROUP = 'nustream'
/** Waiting for a batch to sample ends after this, so that closing is prompt and partitions take turns. */
const SAMPLE_BLOCK_MS = 200
/** Predictions read at once, about ten kilobytes each. */
const PREDICTIONS_AT_ONCE = 16

export interface PartitionPublication {
  readonly message: BatchMessage | undefined
  readonly deadLetters: readonly DeadLetter[]
  /** The run, where it must stand in this partition, and its new position as JSON. */
  readonly step: { readonly run: string; readonly expected: number; readonly position: string } | undefined
}

/** One partition in Redis: each method is one command or script, tried once. */
export class RedisPartition {
  readonly index: number
  readonly keys: PartitionKeys
  readonly link: RedisLink
  readonly #settings: BrokerSettings

  constructor(index: number, link: RedisLink, settings: BrokerSettings) {
    this.index = index
    this.keys = partitionKeys(settings.stream, index)
    this.link = link
    this.#settings = settings
  }

  get address(): string {
    return this.link.address
  }

  /** A connection of its own, for a read that blocks. */
  openLink(): RedisLink {
    return this.link.another()
  }

  /** Connects to the node that holds the keys: a redirection is followed until that node answers. */
  async find(): Promise<void> {
    await this.link.send(['EXISTS', this.keys.batches])
  }

  /** `stored`, `repeat`, or the position found as JSON when the run stands elsewhere. */
  async publish({ message, deadLetters, step }: PartitionPublication): Promise<string> {
    const { batches, deadLetters: letters, runs, totals, settled } = this.keys
    const reply = await this.link.runReplicated(
      SCRIPTS.publish,
      [batches, letters, runs, totals, settled],
      [
        message ? '1' : '0',
        message?.batchId ?? '',
        asBuffer(message?.payload),
        `${message?.events ?? 0}`,
        `${Math.round(message?.emittedAtMs ?? 0)}`,
        step?.run ?? '',
        `${step?.expected ?? 0}`,
        step?.position ?? '',
        ...deadLetterArguments(deadLetters, message?.traceparent ?? ''),
      ],
    )
    return String(reply)
  }

  /** The stored position of a run as JSON. */
  async position(run: string): Promise<string | undefined> {
    const reply = await this.link.send(['HGET', this.keys.runs, run])
    return reply === null ? undefined : String(reply)
  }

  async settle(delivery: Delivery, settlement: Settlement): Promise<SettleResult> {
    const { predictions, predicted, deadLetters } = settlement
    const { batches, predictions: stored, deadLetters: letters, settled, totals } = this.keys
    return await this.#end(SCRIPTS.settle, [batches, stored, letters, settled, totals], delivery, [
      predictions ? '1' : '0',
      asBuffer(predictions),
      `${predicted}`,
      ...deadLetterArguments(deadLetters),
    ])
  }

  async split(delivery: Delivery, parts: readonly BatchMessage[]): Promise<SettleResult> {
    const fields = parts.flatMap(({ batchId, payload, events, emittedAtMs, traceparent = '' }) => [
      batchId,
      asBuffer(payload),
      `${events}`,
      `${Math.round(emittedAtMs)}`,
      traceparent,
    ])
    const { batches, settled, totals } = this.keys
    return await this.#end(SCRIPTS.split, [batches, settled, totals], delivery, fields)
  }

  async release(deliveryIds: readonly string[]): Promise<void> {
    await this.link.run(SCRIPTS.release, [this.keys.batches], this.#leaseArguments(deliveryIds))
  }

  /** Returns the leases that their consumer no longer holds. */
  async renew(deliveryIds: readonly string[]): Promise<string[]> {
    const reply = await this.link.run(SCRIPTS.renew, [this.keys.batches], this.#leaseArguments(deliveryIds))
    const lost = new Set(Array.isArray(reply) ? reply.map(String) : [])
    return deliveryIds.filter((id) => lost.has(toLease(id).entryId))
  }

  /** Creates the consumer group, and the stream with it, unless they exist. */
  async ensureGroup(): Promise<void> {
    await this.link.run(SCRIPTS.group, [this.keys.batches], [GROUP])
  }

  /**
   * Takes over up to `max` leases that were not renewed for `idleMs`, or with `formerlyOf` those that a consumer held before
   * it was restarted. Each counts one more attempt. Leases in `known` are still in use.
   */
  async claim(
    consumer: string,
    { max, idleMs, formerlyOf, known = new Set() }: ClaimFrom,
  ): Promise<Delivery[]> {
    const { batches } = this.keys
    const of = formerlyOf === undefined ? [] : [formerlyOf]
    // The known leases are in the list too, so it asks for that many more.
    const range = ['IDLE', `${idleMs}`, '-', '+', `${max + known.size}`, ...of]
    const pending = readPending(await this.link.send(['XPENDING', batches, GROUP, ...range]))
    const abandoned = pending.filter(({ entryId }) => !known.has(entryId)).slice(0, max)
    if (abandoned.length === 0) return []
    const ids = abandoned.map(({ entryId }) => entryId)
    const entries = readEntries(
      await this.link.send(['XCLAIM', batches, GROUP, consumer, `${idleMs}`, ...ids]),
    )
    this.#warnOfDeleted(ids, entries.length)
    const attempts = new Map(abandoned.map(({ entryId, attempt }) => [entryId, attempt + 1]))
    return entries.map((entry) => toDelivery(entry, this.index, attempts.get(entry.id) ?? 1, consumer))
  }

  async backlog(): Promise<Backlog> {
    const { batches, totals } = this.keys
    const reply = await this.link.run(SCRIPTS.backlog, [batches, totals], [GROUP])
    const [unread = 0, leased = 0, events = 0, age = 0] = Array.isArray(reply) ? reply.map(Number) : []
    return { unreadBatches: unread, leasedBatches: leased, events, oldestAgeMs: age }
  }

  async totals(): Promise<Totals> {
    const names = ['emitted', 'predicted', 'dead_lettered']
    const reply = await this.link.send(['HMGET', this.keys.totals, ...names])
    const [emitted = 0, predicted = 0, deadLettered = 0] = Array.isArray(reply)
      ? reply.map((n) => Number(n ?? 0))
      : []
    return { emitted, predicted, deadLettered }
  }

  /** The id of the stream: `proposed` where it has none. Only the first partition has one. */
  async streamId(proposed: string): Promise<string> {
    return String(await this.link.run(SCRIPTS.streamId, [this.keys.totals], [proposed]))
  }

  /** @throws UnavailableError when Redis does not answer, or would refuse to store a batch now */
  async checkWritable(): Promise<void> {
    try {
      await this.link.run(SCRIPTS.writable, [this.keys.batches], [])
    } catch (cause) {
      const isAway = ['unreachable', 'timeout'].includes(retryReasonOf(cause) ?? '')
      const reason = cause instanceof Error ? cause.message : String(cause)
      const message = `Redis at ${this.address} would not store a batch now: ${reason}`
      throw new UnavailableError(isAway ? 'broker_unreachable' : 'broker_refuses_writes', message, { cause })
    }
  }

  /** Only a consumer deletes predictions and dead letters: the bounds of other roles may be different. */
  async trim(isConsumer: boolean): Promise<void> {
    const { batches, predictions, settled, totals, groups, readers, deadLetters } = this.keys
    const { idleMaxMs, predictionsMax, settledMax, settledMaxAgeMs, deadLettersMax, log } = this.#settings
    const deleted = await this.link.run(
      SCRIPTS.trim,
      [batches, predictions, settled, totals, groups, readers, deadLetters],
      [
        isConsumer ? GROUP : '',
        `${idleMaxMs}`,
        isConsumer ? `${predictionsMax}` : '',
        `${settledMax}`,
        `${settledMaxAgeMs}`,
        isConsumer ? `${deadLettersMax}` : '',
      ],
    )
    if (Number(deleted) > 0)
      log?.warn({ deleted, deadLettersMax }, 'too many dead letters, the oldest are deleted')
  }

  async predictions(after: string): Promise<StoredPredictions[]> {
    const range = [`(${after}`, '+', 'COUNT', `${PREDICTIONS_AT_ONCE}`]
    const reply = await this.link.send(['XRANGE', this.keys.predictions, ...range])
    return readEntries(reply).map((entry) => toPredictions(entry, this.index))
  }

  /** The cursor after which a reader starts; `0-0` is before all. */
  async startCursor({ after, live, last }: PredictionsOptions): Promise<string> {
    const before = live ? 0 : last
    if (before === undefined) return after?.get(this.index) ?? '0-0'
    const count = `${before + 1}`
    const reply = await this.link.send(['XREVRANGE', this.keys.predictions, '+', '-', 'COUNT', count])
    return readEntries(reply)[before]?.id ?? '0-0'
  }

  /**
   * The newest batch in the stream, or where that is `seen` the next one, waiting for it a moment on `link`. Reads without
   * a group, so Redis records nothing of it.
   */
  async newestBatch(link: RedisLink, seen: string | undefined): Promise<NewestBatch | undefined> {
    const { batches } = this.keys
    const [newest] = readEntries(await link.send(['XREVRANGE', batches, '+', '-', 'COUNT', '1']))
    if (newest && newest.id !== seen) return toNewest(newest, this.index)
    const how = ['COUNT', '1', 'BLOCK', `${SAMPLE_BLOCK_MS}`, 'STREAMS', batches, newest?.id ?? '$']
    const reply = await link.send(['XREAD', ...how], SAMPLE_BLOCK_MS)
    const stream: unknown = Array.isArray(reply) ? reply[0] : undefined
    const [next] = readEntries(Array.isArray(stream) ? stream[1] : undefined)
    return next && toNewest(next, this.index)
  }

  async holdPredictions(reader: string, cursor: string): Promise<void> {
    await this.link.run(SCRIPTS.hold, [this.keys.readers], [reader, cursor])
  }

  async deadLetters(limit: number): Promise<StoredDeadLetter[]> {
    const reply = await this.link.send(['XREVRANGE', this.keys.deadLetters, '+', '-', 'COUNT', `${limit}`])
    return readEntries(reply).map((entry) => toDeadLetter(entry, this.index))
  }

  async deadLetter(entryId: string): Promise<StoredDeadLetter | undefined> {
    const reply = await this.link.send(['XRANGE', this.keys.deadLetters, entryId, entryId])
    return readEntries(reply).map((entry) => toDeadLetter(entry, this.index))[0]
  }

  async replayDeadLetter(entryId: string): Promise<boolean> {
    const { batches, deadLetters, totals } = this.keys
    const batchId = `replay-${randomUUID()}`
    const reply = await this.link.runReplicated(
      SCRIPTS.replay,
      [batches, deadLetters, totals],
      [entryId, batchId, `${Date.now()}`],
    )
    return reply === 1
  }

  async dropDeadLetter(entryId: string): Promise<boolean> {
    return (await this.link.send(['XDEL', this.keys.deadLetters, entryId])) === 1
  }

  async #end(
    script: Script,
    keys: readonly string[],
    delivery: Delivery,
    args: RedisArgument[],
  ): Promise<SettleResult> {
    const { entryId, counted } = toLease(delivery.deliveryId)
    const start = [GROUP, entryId, delivery.batchId, `${counted}`]
    const reply = await this.link.runReplicated(script, keys, [...start, ...args])
    return String(reply) === 'repeat' ? 'repeat' : 'settled'
  }

  #leaseArguments(deliveryIds: readonly string[]): string[] {
    const leases = deliveryIds.map(toLease)
    return [GROUP, ...leases.flatMap((lease) => [lease.entryId, lease.consumer, `${lease.attempt}`])]
  }

  /** When an entry that was deleted is claimed, Redis removes it from the pending list. */
  #warnOfDeleted(wanted: readonly string[], found: number): void {
    if (found === wanted.length) return
    const gone = wanted.length - found
    this.#settings.log?.warn(
      { partition: this.index, gone, of: wanted },
      'leased batches are missing: deleted, or claimed by another consumer',
    )
  }
}

export interface ClaimFrom {
  readonly max: number
  readonly idleMs: number
  readonly formerlyOf?: string
  readonly known?: ReadonlySet<string>
}

export interface NewestBatch {
  readonly id: string
  readonly message: BatchMessage
}

function toNewest(entry: StreamEntry, partition: number): NewestBatch {
  const { batchId, payload, events, emittedAtMs } = toDelivery(entry, partition, 0, '')
  return { id: entry.id, message: { batchId, payload, events, emittedAtMs } }
}

function readPending(reply: unknown): Pick<RedisLease, 'entryId' | 'attempt'>[] {
  if (!Array.isArray(reply)) return []
  return reply.flatMap((row: unknown) =>
    Array.isArray(row) ? [{ entryId: String(row[0]), attempt: Number(row[3]) }] : [],
  )
}

/** The number of events that the dead letters stand for, what comes between, then the fields of each (streams.lua). */
function deadLetterArguments(letters: readonly DeadLetter[], ...between: string[]): RedisArgument[] {
  const events = letters.reduce((sum, letter) => sum + letter.events, 0)
  const entries = letters.flatMap((letter) => {
    const fields: RedisArgument[] = [
      ...['payload', asBuffer(letter.payload)],
      ...['batch_id', letter.batchId],
      ...(letter.eventId === undefined ? [] : ['event_id', `${letter.eventId}`]),
      ...['code', letter.code, 'message', letter.message, 'attempts', `${letter.attempts}`],
      ...['events', `${letter.events}`, 'died_at_ms', `${Math.round(letter.diedAtMs)}`],
    ]
    return [`${fields.length}`, ...fields]
  })
  return [`${events}`, ...between, ...entries]
}

/** The same bytes as a Buffer, which is what the client sends without a copy. */
function asBuffer(bytes: Uint8Array | undefined): Buffer {
  if (!bytes) return Buffer.alloc(0)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
