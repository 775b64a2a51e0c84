import { join } from 'node:path'
import { NustreamError } from '../../errors.ts'
import { type EventBatch, eventCount, pulseCount } from '../../event/event-batch.ts'
import { allocateDirections, type Directions, setFault } from '../directions.ts'
import { isolate } from '../isolate.ts'
import type { ModelManifest } from '../model/manifest.ts'
import { type BuildTensors, buildBuildTensors } from '../tensors/build-tensors.ts'
import type { Run } from '../tensors/features.ts'
import { buildReadOutput, outputNames, type ReadOutput } from '../tensors/read-output.ts'
import { buildSelectPulses, type SelectPulses } from '../tensors/select-pulses.ts'
import { type OnnxSession, openOnnxSession } from './onnx-session.ts'
import type { Executor } from './worker-messages.ts'

export interface OnnxExecutorOptions {
  /** Directions also hold the vectors of the network. Only for outputs that are vectors. */
  readonly keepsVectors?: boolean
}

/** @throws Error of ONNX Runtime when the folder's network cannot be loaded */
export async function openOnnxExecutor(
  folder: string,
  manifest: ModelManifest,
  { keepsVectors = false }: OnnxExecutorOptions = {},
): Promise<Executor> {
  const session = await openOnnxSession(join(folder, 'model.onnx'), outputNames(manifest.output))
  const parts = { ...networkParts(manifest, { keepsVectors }), session }
  return {
    graph: session.graph,
    answer: (batch, runSizes) => answerAll(parts, batch, runSizes),
    runTensors: (inputs, outputs) => session.run(inputs, outputs),
    release: () => session.release(),
  }
}

/** What turns events into tensors and tensors into answers; it takes no part in how the network is run. */
export function networkParts(
  manifest: ModelManifest,
  { keepsVectors = false }: OnnxExecutorOptions = {},
): Omit<Parts, 'session'> {
  return {
    manifest,
    select: buildSelectPulses(manifest.pulses),
    buildTensors: buildBuildTensors(manifest),
    readOutput: buildReadOutput(manifest.output),
    outputs: outputNames(manifest.output),
    keepsVectors,
  }
}

export interface Parts {
  readonly manifest: ModelManifest
  /** Reads the tensors before it returns its promise: the next run is made in the same memory. */
  readonly session: Pick<OnnxSession, 'run'>
  /** Once it aborts, what fails says nothing about events. */
  readonly signal?: AbortSignal | undefined
  readonly select: SelectPulses
  readonly buildTensors: BuildTensors
  readonly readOutput: ReadOutput
  readonly outputs: readonly string[]
  readonly keepsVectors: boolean
}

/** Directions of all events of a batch. `runSizes` counts the consecutive events of each run; their sum is all events. */
export async function answerAll(
  parts: Parts,
  batch: EventBatch,
  runSizes: readonly number[],
): Promise<Directions> {
  const answers = allocateDirections(eventCount(batch), parts)
  const rows = new Int32Array(pulseCount(batch))
  let from = 0
  for (const size of runSizes) {
    const run = chooseRun(parts, { batch, answers, rows, from, to: from + size })
    if (run.events.length) await answerRun(parts, run, answers)
    from += size
  }
  return answers
}

interface Part {
  readonly batch: EventBatch
  readonly answers: Directions
  /** Room for all rows of the batch. */
  readonly rows: Int32Array
  readonly from: number
  readonly to: number
}

/** Events `from` to `to` that the model can take; the others become faults. */
function chooseRun({ manifest, select }: Parts, { batch, answers, rows, from, to }: Part): Run {
  const { pulses, limits } = manifest
  const events = new Int32Array(to - from)
  const starts = new Int32Array(to - from + 1)
  const first = batch.offsets[from] - batch.offsets[0]
  let count = 0
  for (let event = from; event < to; event++) {
    const chosen = select(batch, event, rows, first + starts[count])
    if (chosen < pulses.min) {
      const message = `the event has ${chosen} pulses; the model needs at least ${pulses.min} (pulses.min)`
      setFault(answers, event, 'model_failed', message)
    } else if (chosen > limits.pulsesPerEvent) {
      const most = `${limits.pulsesPerEvent} (limits.pulsesPerEvent in model.json)`
      setFault(
        answers,
        event,
        'model_failed',
        `the event has ${chosen} pulses; the model takes at most ${most}`,
      )
    } else {
      starts[count + 1] = starts[count] + chosen
      events[count++] = event
    }
  }
  return {
    batch,
    events: events.subarray(0, count),
    rows: rows.subarray(first, first + starts[count]),
    starts: starts.subarray(0, count + 1),
  }
}

/** An event on which the network throws is a fault; the others of its run get their directions. */
async function answerRun(parts: Parts, run: Run, answers: Directions): Promise<void> {
  await isolate(run.events.length, {
    tries: 1,
    signal: parts.signal,
    async answer(from, to) {
      const part = to - from === run.events.length ? run : partOfRun(run, from, to)
      const outputs = await parts.session.run(parts.buildTensors(part), parts.outputs)
      parts.readOutput(outputs, part.events, answers)
    },
    // A server that is away, or has another network, is no fault of these events.
    failureOf: (error) =>
      error instanceof NustreamError && error.disposition !== 'reject' ? undefined : 'model_failed',
    setFault: (index, message) => setFault(answers, run.events[index], 'model_failed', message),
  })
}

function partOfRun(run: Run, from: number, to: number): Run {
  const starts = run.starts.slice(from, to + 1)
  return {
    batch: run.batch,
    events: run.events.subarray(from, to),
    rows: run.rows.subarray(starts[0], starts[to - from]),
    starts: starts.map((start) => start - run.starts[from]),
  }
}
