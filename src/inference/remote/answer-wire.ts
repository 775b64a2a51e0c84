import { EVENT_ERROR_CODES, EventError } from '../../errors.ts'
import { readArrowStream } from '../../event/arrow-read.ts'
import { type EventBatch, eventCount } from '../../event/event-batch.ts'
import {
  decodePredictionBatch,
  encodePredictionBatch,
  type PredictionBatch,
} from '../../event/prediction-wire.ts'
import { allocateDirections, type InferenceFault, setFault } from '../directions.ts'
import type { Inference } from '../inferrer.ts'

const FAULTS_KEY = 'nustream.faults.'
/** Readers drop metadata values over 4 kB and refuse more than a thousand, so faults share entries and messages are short. */
const ENTRY_BYTES_MAX = 4000
const FAULTS_BYTES_MAX = 3_000_000
const FAULT_BYTES = 100

/**
 * The answer of a model server to a batch in Arrow form: predictions in wire form of the events that have a direction,
 * in request order, and for the others metadata entries `nustream.faults.0`, `.1` …, each a JSON list of objects with
 * `index`, `event_id` (as a string), `code` and `message`. Specified in docs/http-api.md.
 */
export function encodeAnswer(batch: EventBatch, inference: Inference): Uint8Array {
  const faulty = new Set(inference.faults.map(({ index }) => index))
  const kept = [...batch.eventIds.keys()].filter((index) => !faulty.has(index))
  const { model, azimuth, zenith, kappa, degenerate } = inference
  const predictions: PredictionBatch = {
    origin: {
      batchId: '',
      model: model.name,
      modelVersion: model.version,
      consumer: '',
      emittedAtMs: 0,
      predictedAtMs: Date.now(),
    },
    eventIds: BigInt64Array.from(kept, (i) => batch.eventIds[i]),
    azimuth: Float64Array.from(kept, (i) => azimuth[i]),
    zenith: Float64Array.from(kept, (i) => zenith[i]),
    kappa: Float64Array.from(kept, (i) => kappa[i]),
    degenerate: Uint8Array.from(kept, (i) => degenerate[i]),
    pulses: Int32Array.from(kept, (i) => batch.offsets[i + 1] - batch.offsets[i]),
  }
  return encodePredictionBatch(predictions, writeFaults(batch, inference.faults))
}

function writeFaults(batch: EventBatch, faults: readonly InferenceFault[]): Map<string, string> {
  const charactersMax = Math.min(500, Math.max(0, Math.floor(FAULTS_BYTES_MAX / faults.length) - FAULT_BYTES))
  const entries = new Map<string, string>()
  let texts: string[] = []
  let bytes = 0
  const flush = () => {
    if (texts.length > 0) entries.set(`${FAULTS_KEY}${entries.size}`, `[${texts.join(',')}]`)
    texts = []
    bytes = 0
  }
  for (const { index, code, message } of faults) {
    const event_id = String(batch.eventIds[index])
    const text = JSON.stringify({ index, event_id, code, message: message.slice(0, charactersMax) })
    const size = Buffer.byteLength(text) + 1
    if (bytes + size > ENTRY_BYTES_MAX) flush()
    texts.push(text)
    bytes += size
  }
  flush()
  return entries
}

/**
 * The directions of `batch` in the answer of a model server. Every part of the answer is checked.
 * @throws EventError when it is no answer to these events
 */
export function decodeAnswer(bytes: Uint8Array, batch: EventBatch): Inference {
  const count = eventCount(batch)
  const predictions = decodePredictionBatch(bytes)
  const faults = readFaults(readArrowStream(bytes).schema.metadata, count)
  const rows = predictions.eventIds.length
  if (rows + faults.size !== count) {
    throw wrong(`it holds ${rows} directions and ${faults.size} faults for ${count} events`)
  }
  const inference = {
    ...allocateDirections(count),
    model: { name: predictions.origin.model, version: predictions.origin.modelVersion },
    faults: [...faults.values()],
  }
  let row = 0
  for (let i = 0; i < count; i++) {
    if (faults.has(i)) continue
    if (predictions.eventIds[row] !== batch.eventIds[i]) {
      throw wrong(`direction ${row} is of event ${predictions.eventIds[row]}, wanted ${batch.eventIds[i]}`)
    }
    const [azimuth, zenith] = [predictions.azimuth[row], predictions.zenith[row]]
    if (isDirection(azimuth, zenith)) {
      inference.azimuth[i] = azimuth
      inference.zenith[i] = zenith
      inference.kappa[i] = predictions.kappa[row]
      inference.degenerate[i] = predictions.degenerate[row]
    } else {
      const message = `the model server answered azimuth ${azimuth}, zenith ${zenith}`
      setFault(inference, i, 'model_output_invalid', message)
    }
    row += 1
  }
  inference.faults.sort((a, b) => a.index - b.index)
  return inference
}

function readFaults(metadata: ReadonlyMap<string, string>, count: number): Map<number, InferenceFault> {
  const faults = new Map<number, InferenceFault>()
  for (const [key, text] of metadata) {
    if (!key.startsWith(FAULTS_KEY)) continue
    for (const fault of parseFaults(text)) {
      if (!Number.isInteger(fault.index) || fault.index < 0 || fault.index >= count) {
        throw wrong(`it names a fault of event ${fault.index} where there are ${count}`)
      }
      faults.set(fault.index, fault)
    }
  }
  return faults
}

function parseFaults(text: string): InferenceFault[] {
  try {
    const list: { index: unknown; code: unknown; message: unknown }[] = JSON.parse(text)
    return list.map(({ index, code, message }) => {
      const known = EVENT_ERROR_CODES.find((each) => each === code)
      // A server of another version may have reasons that this one does not know.
      const said = known ? String(message) : `${code}: ${message}`
      return { index: Number(index), code: known ?? 'model_failed', message: said }
    })
  } catch (error) {
    throw wrong('the text of its faults is not a JSON list of them', error)
  }
}

function isDirection(azimuth: number, zenith: number): boolean {
  return azimuth >= 0 && azimuth <= 2 * Math.PI && zenith >= 0 && zenith <= Math.PI
}

function wrong(problem: string, cause?: unknown): EventError {
  return new EventError('model_failed', `the model server's answer is not one to these events: ${problem}`, {
    cause,
  })
}
