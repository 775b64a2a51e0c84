import { Bench } from 'tinybench'
import { checkEvents } from '../src/event/check.ts'
import { pulseCount } from '../src/event/event-batch.ts'
import { decodePredictionBatch, encodePredictionBatch } from '../src/event/prediction-wire.ts'
import { decodeEvents, encodeEventBatch } from '../src/event/wire.ts'
import { randomEvents } from '../test/support/random-events.ts'
import { writeResult } from './support/result.ts'

// The mean event of the Kaggle data has 164 pulses; a batch of the emitter has 256 events.
const EVENTS = 256
const batch = randomEvents({ events: EVENTS, pulsesMax: 2 * 164 - 1, truth: true })
const bytes = encodeEventBatch(batch)
// Like small values of a Redis client: at any offset in a received chunk.
const misaligned = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3)
const predictions = {
  origin: { batchId: 'b', model: 'm', modelVersion: '1', consumer: 'c', emittedAtMs: 1, predictedAtMs: 2 },
  eventIds: batch.eventIds,
  azimuth: new Float64Array(EVENTS).fill(1),
  zenith: new Float64Array(EVENTS).fill(1),
  kappa: new Float64Array(EVENTS).fill(Number.NaN),
  degenerate: new Uint8Array(EVENTS),
  pulses: new Int32Array(EVENTS).fill(164),
  ...(batch.truth && { truth: batch.truth }),
}
const predictionBytes = encodePredictionBatch(predictions)

const bench = new Bench({ time: 1000, warmupTime: 300 })
bench
  .add('encode events', () => encodeEventBatch(batch))
  .add('decode events, views', () => decodeEvents(bytes))
  .add('decode events, misaligned', () => decodeEvents(misaligned))
  .add('of which checks', () => checkEvents(batch))
  .add('encode predictions', () => encodePredictionBatch(predictions))
  .add('decode predictions', () => decodePredictionBatch(predictionBytes))
await bench.run()

const rows = bench.tasks.map(({ name, result }) => {
  if (!('latency' in result)) throw new Error(`${name} was not measured`)
  const micros = (ms: number) => Math.round(ms * 1e4) / 10
  const { p50, p99, samplesCount } = result.latency
  return { what: name, medianUs: micros(p50), p99Us: micros(p99), runs: samplesCount }
})
writeResult('wire', {
  question: 'How long do encoding and decoding of one batch take?',
  command: 'npm run bench -- wire',
  parameters: {
    events: EVENTS,
    pulses: pulseCount(batch),
    bytes: bytes.length,
    predictionBytes: predictionBytes.length,
  },
  rows,
})
