import { parentPort, workerData } from 'node:worker_threads'
import { sliceEvents } from '../../src/event/event-batch.ts'
import type { ModelManifest } from '../../src/inference/model/manifest.ts'
import { type OnnxSession, openOnnxSession } from '../../src/inference/network/onnx-session.ts'
import { type PackedEvents, unpackEvents } from '../../src/inference/network/packed-events.ts'
import { buildBuildTensors } from '../../src/inference/tensors/build-tensors.ts'
import { outputNames } from '../../src/inference/tensors/read-output.ts'
import { wholeRun } from '../../src/inference/tensors/select-pulses.ts'
import type { NamedTensors } from '../../src/inference/tensors/tensor.ts'

/** Input of a bare worker: the runs whose tensors it builds before the clock starts. */
export interface BareWork {
  readonly folder: string
  readonly manifest: ModelManifest
  readonly events: PackedEvents
  readonly runSizes: readonly number[]
  /** [0]: number of the next run that no worker has taken. */
  readonly next: Int32Array
}

/** ONNX Runtime only: runs prepared tensors as fast as possible, together with the other workers. */
async function work({ folder, manifest, events, runSizes, next }: BareWork): Promise<void> {
  const session = await openOnnxSession(`${folder}/model.onnx`)
  const runs = buildRuns(manifest, events, runSizes)
  const outputs = outputNames(manifest.output)
  parentPort?.on('message', async (message: { runs: number } | 'close') => {
    if (message === 'close') {
      await session.release()
      parentPort?.close()
      return
    }
    parentPort?.postMessage(await runUntil(session, message.runs, { runs, outputs, next }))
  })
  parentPort?.postMessage('ready')
}

interface Ready {
  readonly runs: readonly NamedTensors[]
  readonly outputs: readonly string[]
  readonly next: Int32Array
}

/** Milliseconds until no run is left. */
async function runUntil(session: OnnxSession, last: number, { runs, outputs, next }: Ready): Promise<number> {
  const startMs = performance.now()
  for (let run = Atomics.add(next, 0, 1); run < last; run = Atomics.add(next, 0, 1)) {
    await session.run(runs[run % runs.length], outputs)
  }
  return performance.now() - startMs
}

function buildRuns(
  manifest: ModelManifest,
  events: PackedEvents,
  runSizes: readonly number[],
): NamedTensors[] {
  const batch = unpackEvents(events)
  const build = buildBuildTensors(manifest)
  let from = 0
  return runSizes.map((size) => {
    const run = wholeRun(sliceEvents(batch, from, from + size), manifest.pulses)
    from += size
    // The builder reuses its buffers: the next run overwrites them.
    return structuredClone(build(run))
  })
}

await work(workerData)
