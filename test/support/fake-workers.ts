import { UnavailableError } from '../../src/errors.ts'
import { answersOf, unpackEvents } from '../../src/inference/network/packed-events.ts'
import type { Workers } from '../../src/inference/network/queue.ts'
import type { Job, JobAnswer } from '../../src/inference/network/worker-messages.ts'
import type { NamedTensors } from '../../src/inference/tensors/tensor.ts'

export interface FakeJob {
  readonly job: Job
  /** Events, or rows of tensors. */
  readonly size: number
  isDone: boolean
  /** Answers, or fails; harmless the second time. */
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
  /** False where an event has no direction; `first` is the time of its first pulse. */
  readonly answers?: (first: number) => boolean
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
    close: () => timers.forEach(clearTimeout),
  }
}

function answer(
  job: Job,
  { answers = (first) => first >= 0, runTensors = double }: FakeWorkersOptions,
): JobAnswer {
  if (job.kind === 'tensors') return { kind: 'tensors', outputs: runTensors(job.inputs, job.outputs) }
  const batch = unpackEvents(job.events)
  const columns = answersOf(job.events)
  const { events } = job.events
  const faults: (JobAnswer & { kind: 'events' })['faults'][number][] = []
  for (let event = 0; event < events; event++) {
    const first = batch.times[batch.offsets[event]]
    const isAnswered = answers(first)
    if (!isAnswered) faults.push({ index: event, code: 'model_failed', message: 'too few pulses' })
    for (const column of [0, 1, 2])
      columns[column * events + event] = isAnswered ? 1000 * column + first : Number.NaN
    columns[3 * events + event] = isAnswered ? first % 2 : 0
  }
  return { kind: 'events', faults }
}

function double(inputs: NamedTensors): NamedTensors {
  const [{ shape, data }] = Object.values(inputs)
  const [rows, width] = shape
  const doubled = Float32Array.from({ length: rows }, (_, row) => 2 * Number(data[row * width]))
  return { double: { dtype: 'float32', shape: [rows], data: doubled } }
}
