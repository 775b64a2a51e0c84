import { eventCount } from '../../event/event-batch.ts'
import type { InferenceFault } from '../directions.ts'
import { answersOf, type Blocks, type EventAt, type PackedEvents, packEvents } from './packed-events.ts'
import { planRuns, type RunLimits, type RunOptions } from './plan-runs.ts'
import type { EventsRequest, PlannedJob } from './request.ts'

/** Runs are not split further than this to keep all workers busy: smaller ones cost more than they gain. */
const TOKENS_PER_RUN_MIN = 256
/** A job costs two messages between threads, so a full window goes out as few jobs; but enough to end together. */
const JOBS_PER_WORKER = 3
const RUNS_PER_JOB_MAX = 6

interface RequestEvent extends EventAt {
  readonly request: EventsRequest
}

/** Jobs for the events of all requests together: events of similar length share a run, so that it holds little padding. */
export function planEventJobs(
  requests: readonly EventsRequest[],
  options: RunOptions,
  blocks: Blocks,
): PlannedJob[] {
  const window: RequestEvent[] = []
  for (const request of requests) {
    const events = eventCount(request.batch)
    for (let event = 0; event < events; event++) window.push({ request, batch: request.batch, event })
  }
  const lengths = Int32Array.from(window, ({ batch, event }) =>
    options.tokensOf(batch.offsets[event + 1] - batch.offsets[event]),
  )
  const { order, sizes } = planRuns(lengths, limitsFor(lengths, options))
  const runsPerJob = clamp(
    Math.floor(sizes.length / (JOBS_PER_WORKER * options.threads)),
    1,
    RUNS_PER_JOB_MAX,
  )
  const jobs: PlannedJob[] = []
  for (let run = 0, from = 0; run < sizes.length; run += runsPerJob) {
    const runSizes = sizes.slice(run, run + runsPerJob)
    const to = runSizes.reduce((sum, size) => sum + size, from)
    const events = Array.from(order.subarray(from, to), (i) => window[i])
    jobs.push(planJob(events, runSizes, blocks))
    from = to
  }
  return jobs
}

/** A few events are spread over all workers rather than filling one run. */
function limitsFor(lengths: Int32Array, options: RunOptions): RunLimits {
  const { threads, tokensPerRun, eventsPerRun, equalLengths } = options
  const share = lengths.reduce((sum, length) => sum + length, 0) / threads
  // A manifest may ask for runs that are smaller still.
  const least = Math.min(TOKENS_PER_RUN_MIN, tokensPerRun)
  return { tokensPerRun: clamp(Math.ceil(share), least, tokensPerRun), eventsPerRun, equalLengths }
}

function planJob(events: readonly RequestEvent[], runSizes: readonly number[], blocks: Blocks): PlannedJob {
  let packed: PackedEvents | undefined
  return {
    size: events.length,
    isWanted: () => events.some(({ request }) => !request.isSettled),
    build() {
      packed = packEvents(events, blocks)
      return { kind: 'events', events: packed, runSizes }
    },
    deliver(answer) {
      if (packed === undefined || answer.kind !== 'events') return
      deliver(events, answersOf(packed), answer.faults)
      blocks.giveBack(packed.buffer)
    },
    // The block is not given back: a worker that is late may still read it.
    fail(error) {
      for (const { request } of events) request.reject(error)
      return []
    },
  }
}

function deliver(
  events: readonly RequestEvent[],
  columns: Float64Array,
  faults: readonly InferenceFault[],
): void {
  const count = events.length
  for (const { index, code, message } of faults) {
    const { request, event } = events[index]
    request.directions.faults.push({ index: event, code, message })
  }
  for (const [i, { request, event }] of events.entries()) {
    const { azimuth, zenith, kappa, degenerate, faults: ofRequest } = request.directions
    azimuth[event] = columns[i]
    zenith[event] = columns[count + i]
    kappa[event] = columns[2 * count + i]
    degenerate[event] = columns[3 * count + i]
    if (--request.remaining > 0) continue
    ofRequest.sort((a, b) => a.index - b.index)
    request.resolve(request.directions)
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
