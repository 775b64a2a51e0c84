import { faultOfName } from '../../event/limits.ts'
import type { Delivery, StoredDeadLetter, StoredPredictions } from '../contract.ts'
import { toErrorCode } from '../rules.ts'

/* How the stream is laid out in Redis: the keys, and the entries of the streams. */

/** The keys of one partition. The hash tag puts them in one slot, so that a script may touch them all in a cluster. */
export interface PartitionKeys {
  /** Stream of batches: `batch_id`, `batch` (wire form), and where known `events`, `emitted_at_ms`, `counted`,
   * `traceparent`. */
  readonly batches: string
  /** Stream of predictions: `batch_id`, `predictions` (wire form). */
  readonly predictions: string
  /** Stream of dead letters. */
  readonly deadLetters: string
  /** Sorted set of settled batch ids by the time of settling. */
  readonly settled: string
  /** Hash: run → its position in this partition, as JSON. */
  readonly runs: string
  /** Hash of counts: `emitted`, `predicted`, `dead_lettered`, `waiting`; in the first partition also `stream_id`. */
  readonly totals: string
  /** Hash: consumer group that reads through nustream → when it last did. Only these delay trimming. */
  readonly groups: string
  /** Hash: reader → `MILLISECONDS CURSOR`, when it last called `holdPredictions` and up to where. */
  readonly readers: string
}

export function partitionKeys(stream: string, partition: number): PartitionKeys {
  const key = (name: string) => `${stream}:{p${partition}}:${name}`
  return {
    batches: key('batches'),
    predictions: key('predictions'),
    deadLetters: key('dead-letters'),
    settled: key('settled'),
    runs: key('runs'),
    totals: key('totals'),
    groups: key('groups'),
    readers: key('readers'),
  }
}

/** Hash: `ROLE/INSTANCE` → last heartbeat as JSON. One for all partitions, beside the first. */
export function heartbeatsKey(stream: string): string {
  return `${stream}:{p0}:heartbeats`
}

/** An entry of a stream as Redis replies it: id, then field names and values in turn. */
export interface StreamEntry {
  readonly id: string
  readonly fields: ReadonlyMap<string, Buffer>
}

/** A delivery id in parts: enough to settle, renew or release the lease without asking. */
export interface RedisLease {
  readonly partition: number
  readonly entryId: string
  readonly attempt: number
  /** Events that publishing counted in the totals; 0 for a batch that another program put into the stream. */
  readonly counted: number
  readonly consumer: string
}

export function toDeliveryId({ partition, entryId, attempt, counted, consumer }: RedisLease): string {
  return [partition, entryId, attempt, counted, consumer].join('/')
}

export function toLease(deliveryId: string): RedisLease {
  const [partition, entryId = '', attempt, counted, ...consumer] = deliveryId.split('/')
  return {
    partition: Number(partition),
    entryId,
    attempt: Number(attempt),
    counted: Number(counted),
    consumer: consumer.join('/'),
  }
}

/** Entries of a reply of XRANGE, XCLAIM or one stream of XREADGROUP; those that are gone (nil) are left out. */
export function readEntries(reply: unknown): StreamEntry[] {
  if (!Array.isArray(reply)) return []
  return reply.flatMap((entry: unknown) => {
    if (!Array.isArray(entry) || !Array.isArray(entry[1])) return []
    const fields = new Map<string, Buffer>()
    for (let i = 0; i + 1 < entry[1].length; i += 2)
      fields.set(String(entry[1][i]), toBuffer(entry[1][i + 1]))
    return [{ id: String(entry[0]), fields }]
  })
}

/**
 * The delivery of an entry. Entries of other programs are delivered too: without a field `batch` the raw bytes are the
 * payload, so that the consumer can say what is wrong with it and store it as a dead letter.
 */
export function toDelivery(
  entry: StreamEntry,
  partition: number,
  attempt: number,
  consumer: string,
): Delivery {
  const { id: entryId, fields } = entry
  const payload = fields.get('batch') ?? rawBytes(fields)
  const events = toEventCount(fields.get('events'), payload)
  // Publishing counts what it says in `events`; any other value is not its own.
  const isCounted = toCount(fields.get('counted')) === events
  const traceparent = fields.get('traceparent')?.toString()
  const lease = { partition, entryId, attempt, counted: isCounted ? events : 0, consumer }
  return {
    deliveryId: toDeliveryId(lease),
    partition,
    attempt,
    ...readBatchId(fields.get('batch_id'), `foreign-${partition}-${entryId}`),
    payload: plain(payload),
    events,
    emittedAtMs: toCount(fields.get('emitted_at_ms')) || Number.parseInt(entryId, 10),
    ...(traceparent && { traceparent }),
  }
}

/** An entry without a usable id gets one of its own, so that it cannot be taken for a repeat of another. */
function readBatchId(bytes: Buffer | undefined, own: string): Pick<Delivery, 'batchId' | 'fault'> {
  if (bytes === undefined || bytes.length === 0) return { batchId: own }
  const fault = faultOfName(bytes)
  if (fault === undefined) return { batchId: bytes.toString() }
  const start = bytes.subarray(0, 32).toString('hex')
  const message = `batch_id ${fault} (it begins with the bytes ${start})`
  return { batchId: own, fault: { code: 'batch_id_invalid', message } }
}

/** Events that the entry claims; 0 for unknown. An event takes more than one byte, so a larger count is not believed. */
function toEventCount(value: Buffer | undefined, payload: Buffer): number {
  const count = toCount(value)
  return count <= payload.length ? count : 0
}

export function toPredictions({ id, fields }: StreamEntry, partition: number): StoredPredictions {
  return {
    cursor: id,
    partition,
    batchId: fields.get('batch_id')?.toString() ?? '',
    payload: plain(fields.get('predictions') ?? Buffer.alloc(0)),
  }
}

export function toDeadLetter({ id, fields }: StreamEntry, partition: number): StoredDeadLetter {
  const eventId = fields.get('event_id')?.toString() ?? ''
  return {
    id: `${partition}/${id}`,
    batchId: fields.get('batch_id')?.toString() ?? '',
    eventId: /^-?\d+$/.test(eventId) ? BigInt(eventId) : undefined,
    code: toErrorCode(fields.get('code')?.toString()),
    message: fields.get('message')?.toString() ?? '',
    attempts: toCount(fields.get('attempts')),
    events: toCount(fields.get('events')),
    diedAtMs: toCount(fields.get('died_at_ms')),
    payload: plain(fields.get('payload') ?? Buffer.alloc(0)),
  }
}

function rawBytes(fields: ReadonlyMap<string, Buffer>): Buffer {
  const [only, ...more] = fields.values()
  if (only && more.length === 0) return only
  return Buffer.concat(
    [...fields].flatMap(([name, value]) => [Buffer.from(`${name}: `), value, Buffer.from('\n')]),
  )
}

/** A count in decimal digits; 0 for anything else that another program may have written. */
function toCount(value: Buffer | undefined): number {
  const count = Number(value?.toString() ?? 0)
  return Number.isSafeInteger(count) && count > 0 ? count : 0
}

function toBuffer(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(String(value))
}

/** The same bytes as a plain Uint8Array, so that no caller depends on Buffer. */
function plain({ buffer, byteOffset, byteLength }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** When a dead letter was stored, from its id `PARTITION/MILLISECONDS-SEQUENCE`. */
export function storedAtMs({ id }: Pick<StoredDeadLetter, 'id'>): number {
  return Number.parseInt(id.slice(id.indexOf('/') + 1), 10)
}
