import type { Delivery, StoredDeadLetter, StoredPredictions } from '../contract.ts'
import { toErrorCode } from '../dead-letter-code.ts'

/** An entry of a stream as Redis replies it: id, then field names and values in turn. */
export interface StreamEntry {
  readonly id: string
  readonly fields: ReadonlyMap<string, Buffer>
}

/** What names a loan on this broker: enough to settle, renew or release it without asking. */
export interface RedisLoan {
  readonly partition: number
  readonly entryId: string
  readonly attempt: number
  /** Events that publishing counted in the account; 0 for a batch that another program put into the stream. */
  readonly counted: number
  readonly consumer: string
}

export function toDeliveryId({ partition, entryId, attempt, counted, consumer }: RedisLoan): string {
  return [partition, entryId, attempt, counted, consumer].join('/')
}

export function toLoan(deliveryId: string): RedisLoan {
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
 * The delivery of an entry. What another program put into the stream is delivered too: without a field `batch` its raw
 * bytes are the payload, so that the consumer can say what is wrong with it and keep it as a dead letter.
 */
export function toDelivery(
  entry: StreamEntry,
  partition: number,
  attempt: number,
  consumer: string,
): Delivery {
  const { id: entryId, fields } = entry
  const counted = toCount(fields.get('counted'))
  const traceparent = fields.get('traceparent')?.toString()
  return {
    deliveryId: toDeliveryId({ partition, entryId, attempt, counted, consumer }),
    partition,
    attempt,
    batchId: fields.get('batch_id')?.toString() || `foreign-${partition}-${entryId}`,
    payload: plain(fields.get('batch') ?? rawBytes(fields)),
    events: toCount(fields.get('events')),
    emittedAtMs: toCount(fields.get('emitted_at_ms')) || Number.parseInt(entryId, 10),
    ...(traceparent && { traceparent }),
  }
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

/** A count in decimal digits; 0 for anything else that a stranger may have written. */
function toCount(value: Buffer | undefined): number {
  const count = Number(value?.toString() ?? 0)
  return Number.isSafeInteger(count) && count > 0 ? count : 0
}

function toBuffer(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(String(value))
}

/** The same bytes as a plain Uint8Array, so that nobody comes to rely on Buffer. */
function plain({ buffer, byteOffset, byteLength }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** When a dead letter was stored, out of its id `PARTITION/MILLISECONDS-SEQUENCE`. */
export function storedAtMs({ id }: Pick<StoredDeadLetter, 'id'>): number {
  return Number.parseInt(id.slice(id.indexOf('/') + 1), 10)
}
