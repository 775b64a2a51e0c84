import type { EventErrorCode } from '../errors.ts'
import type { EventBatch } from '../event/event-batch.ts'
import { RequestError } from './errors.ts'
import { isRecord, show } from './json.ts'
import { type PulseFault, PulseWriter, pulsesIn } from './json-pulses.ts'

/** Why one event of a request cannot be asked. The message names the field, such as `events[3].pulses.charge[17]`. */
export interface EventRefusal {
  /** Index in the request. */
  readonly index: number
  readonly code: EventErrorCode
  readonly message: string
}

/** An event id as the caller wrote it; null where there was none. */
export type GivenId = number | string | null

/** The events of a JSON request: those that can be asked, and why the others cannot. */
export interface JsonEvents {
  /** The body was one event, not a list: so is the answer. */
  readonly single: boolean
  /** [events of the request] */
  readonly ids: readonly GivenId[]
  /** The events that can be asked, in request order. */
  readonly batch: EventBatch
  readonly refusals: readonly EventRefusal[]
}

const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)

/**
 * Reads `{pulses, event_id?}` or `{events: […]}`. What is wrong inside one event refuses that event alone. Hand-written:
 * a general schema library takes longer over 5,000 numbers than the model does.
 * @throws RequestError when the body as a whole cannot be read
 */
export function readJsonEvents(body: unknown, eventsMax: number): JsonEvents {
  const { single, events } = eventsOf(body)
  if (events.length > eventsMax) {
    throw new RequestError(
      'events_too_many',
      `events holds ${events.length} events and one request may hold ${eventsMax}; send several requests`,
    )
  }
  const writer = new PulseWriter(events.length, totalPulses(events))
  const ids: GivenId[] = []
  const refusals: EventRefusal[] = []
  for (const [index, event] of events.entries()) {
    const { given, id, fault: idFault } = readId(event)
    ids.push(given)
    const fault = idFault ?? writer.append(id, isRecord(event) ? event['pulses'] : undefined)
    if (fault === undefined) continue
    const path = single ? fault.path : `events[${index}]${fault.path === '' ? '' : `.${fault.path}`}`
    refusals.push({ index, code: fault.code, message: `${path || 'event'} ${fault.problem}` })
  }
  return { single, ids, batch: writer.batch(), refusals }
}

function eventsOf(body: unknown): { single: boolean; events: readonly unknown[] } {
  if (!isRecord(body)) {
    throw new RequestError(
      'body_malformed',
      `the body must be one event {"pulses": …} or {"events": […]}, not ${show(body)}`,
    )
  }
  const { events } = body
  const isGiven = events !== undefined && events !== null
  if (!isGiven && 'pulses' in body) return { single: true, events: [body] }
  if (Array.isArray(events)) return { single: false, events }
  const problem = isGiven ? 'holds "events" that is no list' : 'has neither "pulses" nor "events"'
  throw new RequestError(
    'body_malformed',
    `the body ${problem}; send one event {"pulses": …} or {"events": […]}`,
  )
}

function totalPulses(events: readonly unknown[]): number {
  let total = 0
  for (const event of events) if (isRecord(event)) total += pulsesIn(event['pulses'])
  return total
}

interface ReadId {
  readonly given: GivenId
  readonly id: bigint
  readonly fault?: PulseFault
}

function readId(event: unknown): ReadId {
  if (!isRecord(event)) {
    const problem = `must be an object with "pulses", not ${show(event)}`
    return { given: null, id: 0n, fault: { code: 'source_value_invalid', path: '', problem } }
  }
  const given = event['event_id']
  if (given === undefined || given === null) return { given: null, id: 0n }
  if (typeof given === 'number' && Number.isSafeInteger(given)) return { given, id: BigInt(given) }
  if (typeof given === 'string' && /^-?\d{1,19}$/.test(given)) {
    const id = BigInt(given)
    if (id >= INT64_MIN && id <= INT64_MAX) return { given, id }
  }
  const problem = `is ${show(given)}; it must be an integer, from 2^53 on as a string of digits (int64)`
  const safe = typeof given === 'string' && given.length <= 40 ? given : null
  return { given: safe, id: 0n, fault: { code: 'source_value_invalid', path: 'event_id', problem } }
}
