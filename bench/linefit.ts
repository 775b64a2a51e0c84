/** How fast and how accurate is the built-in line fit? */
import { parseArgs } from 'node:util'
import { angularDistance } from '../src/event/direction.ts'
import { sliceEvents } from '../src/event/event-batch.ts'
import { buildLineFitExecutor } from '../src/inference/linefit/linefit.ts'
import { openLocalModel } from '../src/inference/network/local.ts'
import { madeUpEvents } from '../src/inference/network/warm-up.ts'
import { simulateEvents } from '../src/simulator/simulate.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '8192' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '15' },
  },
})
const events = Number(values.events)
const threads = Number(values.threads)
const data = simulateEvents(5, 0, events)
const huge = madeUpEvents([178_250])
const executor = buildLineFitExecutor()
await using model = await openLocalModel('linefit', { threads })

const rates: number[] = []
const fitMicros: number[] = []
const hugeMs: number[] = []
for (let round = 0; round <= Number(values.rounds); round++) {
  const poolMs = await millisOf(inferAll)
  const fitMs = await millisOf(() => executor.answer(data, [events]))
  const oneMs = await millisOf(() => executor.answer(huge, [1]))
  // The first round warms all three.
  if (round === 0) continue
  rates.push((events / poolMs) * 1000)
  fitMicros.push((fitMs / events) * 1000)
  hugeMs.push(oneMs)
}

writeResult('linefit', {
  question: 'events/s and mean angular error of the built-in line fit',
  command: `npm run bench -- linefit --events ${values.events} --rounds ${values.rounds}`,
  parameters: {
    threads,
    data: `${events} simulated events, ${Math.round(data.times.length / events)} pulses each`,
  },
  rows: [
    {
      'events/s on all threads': Math.round(median(rates)),
      'µs an event on one thread': Number(median(fitMicros).toFixed(1)),
      'ms for 178,250 pulses': Number(median(hugeMs).toFixed(1)),
      'mean angular error, rad': Number((await meanError()).toFixed(4)),
      rounds: rates.length,
    },
  ],
})

async function millisOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work()
  return performance.now() - startMs
}

/** Batches of 256, with as many in flight as the model accepts. */
async function inferAll(): Promise<void> {
  let from = 0
  const ask = async () => {
    while (from < events) {
      const batch = sliceEvents(data, from, Math.min(from + 256, events))
      from += 256
      await model.infer(batch)
    }
  }
  await Promise.all(Array.from({ length: model.concurrency }, ask))
}

async function meanError(): Promise<number> {
  const { azimuth, zenith } = await model.infer(data)
  let sum = 0
  for (let event = 0; event < events; event++) {
    const truth = {
      azimuth: data.truth?.azimuth[event] ?? Number.NaN,
      zenith: data.truth?.zenith[event] ?? Number.NaN,
    }
    sum += angularDistance(truth, { azimuth: azimuth[event], zenith: zenith[event] })
  }
  return sum / events
}
