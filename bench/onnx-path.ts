/** What does a model folder add to its network? Events/s of `infer` ÷ events/s of bare ONNX Runtime on the same runs. */
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { sliceEvents } from '../src/event/event-batch.ts'
import { readManifest } from '../src/inference/model/folder.ts'
import type { ModelManifest } from '../src/inference/model/manifest.ts'
import { type LocalModel, openLocalModel } from '../src/inference/network/local.ts'
import { Blocks, packEvents } from '../src/inference/network/packed-events.ts'
import { planRuns } from '../src/inference/network/plan-runs.ts'
import { selectedAtMost } from '../src/inference/tensors/select-pulses.ts'
import { simulateEvents } from '../src/simulator/simulate.ts'
import type { BareWork } from './support/bare-ort-worker.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    model: {
      type: 'string',
      multiple: true,
      default: ['test/fixtures/models/transformer-d64x4', 'models/nano'],
    },
    // Enough events that idle threads at the end of a round hardly matter.
    events: { type: 'string', default: '24576' },
    batch: { type: 'string', default: '512' },
    threads: { type: 'string', default: '2' },
    // On a shared machine, any one round is off by up to 10 %.
    rounds: { type: 'string', default: '11' },
  },
})
const events = Number(values.events)
const batchEvents = Number(values.batch)
const threads = Number(values.threads)
/** Events whose runs the scheduler plans together: a batch of this size gives the same runs as the bare side. */
const WINDOW = 512

const data = simulateEvents(5, 0, events)

async function measure(folder: string) {
  const manifest = await readManifest(folder)
  const bareSide = await BareSide.open(folder, manifest)
  await using model = await openLocalModel(folder, { threads })
  const rounds: { bare: Cost; path: Cost }[] = []
  for (let round = 0; round <= Number(values.rounds); round++) {
    const costs = { bare: await costOf(() => bareSide.run()), path: await costOf(() => runPath(model)) }
    // The first round warms both.
    if (round > 0) rounds.push(costs)
  }
  bareSide.close()
  /** The values of one figure in all rounds. */
  const each = (figure: (round: (typeof rounds)[number]) => number) => rounds.map(figure)
  const ratios = each(({ bare, path }) => path.eventsPerSecond / bare.eventsPerSecond)
  return {
    model: manifest.name,
    'bare events/s': Math.round(median(each(({ bare }) => bare.eventsPerSecond))),
    'infer events/s': Math.round(median(each(({ path }) => path.eventsPerSecond))),
    'median ratio': Number(median(ratios).toFixed(3)),
    'min ratio': Number(Math.min(...ratios).toFixed(3)),
    'max ratio': Number(Math.max(...ratios).toFixed(3)),
    // CPU time does not depend on other load on the machine.
    'bare CPU µs/event': Math.round(median(each(({ bare }) => bare.cpuMicros))),
    'infer CPU µs/event': Math.round(median(each(({ path }) => path.cpuMicros))),
    'median CPU ratio': Number(median(each(({ bare, path }) => bare.cpuMicros / path.cpuMicros)).toFixed(3)),
    rounds: rounds.length,
  }
}

/** ONNX Runtime only: one session per thread, fed with runs that were planned before. */
class BareSide {
  readonly #workers: readonly Worker[]
  readonly #runs: number
  readonly #next: Int32Array

  private constructor(workers: readonly Worker[], runs: number, next: Int32Array) {
    this.#workers = workers
    this.#runs = runs
    this.#next = next
  }

  static async open(folder: string, manifest: ModelManifest): Promise<BareSide> {
    const { packed, runSizes } = planLikeScheduler(manifest)
    const next = new Int32Array(new SharedArrayBuffer(4))
    const work: BareWork = { folder, manifest, events: packed, runSizes, next }
    const start = async () => {
      const worker = new Worker(new URL('./support/bare-ort-worker.ts', import.meta.url), {
        workerData: work,
      })
      await once(worker, 'message')
      return worker
    }
    return new BareSide(await Promise.all(Array.from({ length: threads }, start)), runSizes.length, next)
  }

  async run(): Promise<void> {
    Atomics.store(this.#next, 0, 0)
    const done = this.#workers.map((worker) => once(worker, 'message'))
    for (const worker of this.#workers) worker.postMessage({ runs: this.#runs })
    await Promise.all(done)
  }

  close(): void {
    for (const worker of this.#workers) worker.postMessage('close')
  }
}

/** All events in the order and the runs of the scheduler. */
function planLikeScheduler(manifest: ModelManifest) {
  const { tokensPerRun, eventsPerRun } = manifest.limits
  const order: number[] = []
  const sizes: number[] = []
  for (let from = 0; from < events; from += WINDOW) {
    const to = Math.min(from + WINDOW, events)
    const lengths = Int32Array.from({ length: to - from }, (_, i) =>
      selectedAtMost(manifest.pulses, data.offsets[from + i + 1] - data.offsets[from + i]),
    )
    const plan = planRuns(lengths, { tokensPerRun, eventsPerRun, equalLengths: false })
    order.push(...Array.from(plan.order, (i) => from + i))
    sizes.push(...plan.sizes)
  }
  return {
    packed: packEvents(
      order.map((event) => ({ batch: data, event })),
      new Blocks(0),
    ),
    runSizes: sizes,
  }
}

interface Cost {
  readonly eventsPerSecond: number
  /** CPU time of all threads, µs per event. */
  readonly cpuMicros: number
}

async function costOf(runAll: () => Promise<unknown>): Promise<Cost> {
  const startMs = performance.now()
  const before = process.cpuUsage()
  await runAll()
  const { user, system } = process.cpuUsage(before)
  return {
    eventsPerSecond: (events / (performance.now() - startMs)) * 1000,
    cpuMicros: (user + system) / events,
  }
}

/** Calls the model like a consumer: batches of the same size, with as many in flight as the model accepts. */
async function runPath(model: LocalModel): Promise<void> {
  let from = 0
  const ask = async () => {
    while (from < events) {
      const batch = sliceEvents(data, from, Math.min(from + batchEvents, events))
      from += batchEvents
      await model.infer(batch)
    }
  }
  await Promise.all(Array.from({ length: model.concurrency }, ask))
}

const rows = []
for (const folder of values.model) rows.push(await measure(folder))
writeResult('onnx-path', {
  question: 'events/s of a model folder ÷ events/s of bare ONNX Runtime on the same tensors, runs and cores',
  command: `npm run bench -- onnx-path --rounds ${values.rounds}${values.model.map((model) => ` --model ${model}`).join('')}`,
  parameters: { threads, batchEvents, window: WINDOW, data: `${events} simulated events` },
  rows,
})
