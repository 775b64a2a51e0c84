import { UsageError } from '../errors.ts'
import { EVENT_KINDS, type EventKind } from '../simulator/simulate.ts'
import { simulateInWorkers } from './simulation.ts'
import type { EventSource, SourceChunk, SourceReadOptions } from './source.ts'

const DEFAULT_SEED = 1
/** Events made in one go at most: larger chunks would keep the reader waiting without making the simulator faster. */
const BATCH_EVENTS_MAX = 256

export interface SimulatedSourceOptions {
  /** Worker threads that simulate; the events do not depend on it. */
  readonly workers?: number
}

/**
 * Events of the simulator without end, from a spec `sim`, `sim:SEED` (a whole number from 0 to 2^53 - 1) or
 * `sim:SEED?kind=muons`, bundles of atmospheric muons in place of neutrinos. With `systematics=1` behind the question mark ice
 * and sensors are drawn for each event. An event's id is its index; a chunk's `resume` is
 * the index of the event after it.
 * @throws UsageError `source_unknown` where the spec is another
 */
export function openSimulated(spec: string, options: SimulatedSourceOptions = {}): EventSource {
  const simulated = parseSpec(spec)
  return {
    spec: toSpec(simulated),
    count: () => Promise.resolve(undefined),
    read: (readOptions) => readSimulated(simulated, readOptions, options.workers ?? 1),
  }
}

async function* readSimulated(
  simulated: Simulated,
  { eventsMax, resume, signal }: SourceReadOptions,
  workers: number,
): AsyncGenerator<SourceChunk> {
  const batchEvents = Math.min(eventsMax, BATCH_EVENTS_MAX)
  let next = parseResume(resume)
  for await (const events of simulateInWorkers({ ...simulated, from: next, batchEvents, workers, signal })) {
    next += events.eventIds.length
    yield { events, rejected: [], resume: String(next) }
  }
}

interface Simulated {
  readonly seed: number
  readonly kind: EventKind
  readonly systematics: boolean
}

function parseSpec(spec: string): Simulated {
  const match = /^sim(?::(\d+))?(?:\?(.+))?$/.exec(spec)
  const seed = Number(match?.[1] ?? DEFAULT_SEED)
  const asked = new URLSearchParams(match?.[2])
  const kind = EVENT_KINDS.find((one) => one === (asked.get('kind') ?? 'neutrinos'))
  const systematics = asked.get('systematics') ?? '0'
  asked.delete('kind')
  asked.delete('systematics')
  const isKnown = match && asked.size === 0 && /^[01]$/.test(systematics)
  if (isKnown && kind && Number.isSafeInteger(seed)) return { seed, kind, systematics: systematics === '1' }
  throw new UsageError(
    'source_unknown',
    `source "${spec}" is no simulator; write sim or sim:SEED with a whole number from 0 to 2^53 - 1, and behind it ?kind=muons, ?systematics=1 or ?kind=muons&systematics=1`,
  )
}

function toSpec({ seed, kind, systematics }: Simulated): string {
  const asked = [...(kind === 'neutrinos' ? [] : [`kind=${kind}`]), ...(systematics ? ['systematics=1'] : [])]
  return `sim:${seed}${asked.length > 0 ? `?${asked.join('&')}` : ''}`
}

function parseResume(resume: string | undefined): number {
  const next = Number(resume ?? 0)
  if (Number.isSafeInteger(next) && next >= 0 && resume !== '') return next
  throw new UsageError(
    'config_invalid',
    `"${resume}" is no place in a simulated source; an event index was expected`,
  )
}
