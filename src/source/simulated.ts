import { UsageError } from '../errors.ts'
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
 * Events of the simulator without end, from a spec `sim` or `sim:SEED` (a whole number from 0 to 2^53 - 1). An event's id
 * is its index; a chunk's `resume` is the index of the event after it.
 * @throws UsageError `source_unknown` where the seed is no such number
 */
export function openSimulated(spec: string, options: SimulatedSourceOptions = {}): EventSource {
  const seed = parseSeed(spec)
  return {
    spec: `sim:${seed}`,
    count: () => Promise.resolve(undefined),
    read: (readOptions) => readSimulated(seed, readOptions, options.workers ?? 1),
  }
}

async function* readSimulated(
  seed: number,
  { eventsMax, resume, signal }: SourceReadOptions,
  workers: number,
): AsyncGenerator<SourceChunk> {
  const batchEvents = Math.min(eventsMax, BATCH_EVENTS_MAX)
  let next = parseResume(resume)
  for await (const events of simulateInWorkers({ seed, from: next, batchEvents, workers, signal })) {
    next += events.eventIds.length
    yield { events, rejected: [], resume: String(next) }
  }
}

function parseSeed(spec: string): number {
  const match = /^sim(?::(\d+))?$/.exec(spec)
  const seed = Number(match?.[1] ?? DEFAULT_SEED)
  if (match && Number.isSafeInteger(seed)) return seed
  throw new UsageError(
    'source_unknown',
    `source "${spec}" is no simulator; write sim or sim:SEED with a whole number from 0 to 2^53 - 1`,
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
