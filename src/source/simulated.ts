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
 * `sim:SEED?kind=muons`, bundles of atmospheric muons in place of neutrinos. An event's id is its index; a chunk's `resume` is
 * the index of the event after it.
 * @throws UsageError `source_unknown` where the spec is another
 */
export function openSimulated(spec: string, options: SimulatedSourceOptions = {}): EventSource {
  const simulated = parseSpec(spec)
  const { seed, kind } = simulated
  return {
    spec: kind === 'neutrinos' ? `sim:${seed}` : `sim:${seed}?kind=${kind}`,
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
}

function parseSpec(spec: string): Simulated {
  const match = /^sim(?::(\d+))?(?:\?kind=(\w+))?$/.exec(spec)
  const seed = Number(match?.[1] ?? DEFAULT_SEED)
  const kind = EVENT_KINDS.find((one) => one === (match?.[2] ?? 'neutrinos'))
  if (match && kind && Number.isSafeInteger(seed)) return { seed, kind }
  throw new UsageError(
    'source_unknown',
    `source "${spec}" is no simulator; write sim, sim:SEED or sim:SEED?kind=muons, SEED a whole number from 0 to 2^53 - 1`,
  )
}

function parseResume(resume: string | undefined): number {
  const next = Number(resume ?? 0)
  if (Number.isSafeInteger(next) && next >= 0 && resume !== '') return next
  throw new UsageError(
    'config_invalid',
    `"${resume}" is no place in a simulated source; an event index was expected`,
  )
}
