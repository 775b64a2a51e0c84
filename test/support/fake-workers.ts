import { UnavailableError } from '../../src/errors.ts'
import { type EventBatch, eventCount } from '../../src/event/event-batch.ts'
import { allocateDirections, type Directions, setFault } from '../../src/inference/directions.ts'
import { answersOf, unpackEvents } from '../../src/inference/network/packed-events.ts'
import type { Workers } from '../../src/inference/network/queue.ts'
import type { Job, JobAnswer } from '../../src/inference/network/worker-messages.ts'
import type { NamedTensors } from '../../src/inference/tensors/tensor.ts'

export interface FakeJob {
  readonly job: Job
  /** Events, or rows of tensors. */
  readonly size: number
  isDone: boolean
  /** Answers or fails the job; a second call has no effect. */
  finish(error?: Error): void
}

export interface FakeWorkersOptions {
  /** Jobs at once. */
  readonly free?: number
  /** Jobs are answered by `finish` only. */
  readonly isManual?: boolean
  readonly msPerEvent?: number
  /** Called when a job ends, as a pool does. */
  readonly onChange: () => void
  /** Runs before each answer: throw, or wait. */
  readonly before?: (job: Job) => void | Promise<void>
  readonly runTensors?: (inputs: NamedTensors, outputs: readonly string[] | undefined) => NamedTensors
  /** Directions of the events of a job; by default as described at `fakeWorkers`. */
  readonly infer?: (batch: EventBatch) => Directions
}

export interface FakeWorkers extends Workers {
  readonly jobs: FakeJob[]
  close(): void
}

/**
 * Workers without threads. Of an event whose first time is t they answer azimuth t, zenith 1000 + t, kappa 2000 + t, and
 * `degenerate` where t is odd; an event with t < 0 is a fault. Tensors are doubled.
 */
export function fakeWorkers(options: FakeWorkersOptions): FakeWorkers {
  const { free = 1, isManual = false, msPerEvent = 0, onChange, before } = options
  const jobs: FakeJob[] = []
  const timers = new Set<NodeJS.Timeout>()
  let running = 0
  const run = async (job: Job): Promise<JobAnswer> => {
    running++
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const fake: FakeJob = {
      job,
      size: job.kind === 'events' ? job.events.events : Object.values(job.inputs)[0].shape[0],
      isDone: false,
      finish(error) {
        fake.isDone = true
        if (error) reject(error)
        else resolve()
      },
    }
    jobs.push(fake)
    if (msPerEvent > 0) timers.add(setTimeout(() => fake.finish(), msPerEvent * fake.size))
    else if (!isManual) fake.finish()
    try {
      await promise
      await before?.(job)
      return answer(job, options)
    } finally {
      running--
      onChange()
    }
  }
  return {
    jobs,
    alive: 1,
    get free() {
      return free - running
    },
    run,
    noWorker: () => new UnavailableError('model_worker_died', 'no worker'),
    close() {
      for (const timer of timers) clearTimeout(timer)
    },
  }
}

function answer(job: Job, { infer = numbered, runTensors = double }: FakeWorkersOptions): JobAnswer {
  if (job.kind === 'tensors') return { kind: 'tensors', outputs: runTensors(job.inputs, job.outputs) }
  const { azimuth, zenith, kappa, degenerate, faults } = infer(unpackEvents(job.events))
  const columns = answersOf(job.events)
  for (const [column, values] of [azimuth, zenith, kappa, degenerate].entries())
    columns.set(values, column * job.events.events)
  return { kind: 'events', faults }
}

function numbered(batch: EventBatch): Directions {
  const directions = allocateDirections(eventCount(batch))
  for (let event = 0; event < eventCount(batch); event++) {
    const first = batch.times[batch.offsets[event]]
    if (first < 0) {
      setFault(directions, event, 'model_failed', 'too few pulses')
      continue
    }
    directions.azimuth[event] = first
    directions.zenith[event] = 1000 + first
    directions.kappa[event] = 2000 + first
    directions.degenerate[event] = first % 2
  }
  return directions
}

function double(inputs: NamedTensors): NamedTensors {
  const [{ shape, data }] = Object.values(inputs)
  const [rows, width] = shape
  const doubled = Float32Array.from({ length: rows }, (_, row) => 2 * Number(data[row * width]))
  return { double: { dtype: 'float32', shape: [rows], data: doubled } }
}
