import { EVENT_ERROR_CODES, EventError, type EventErrorCode } from '../errors.ts'
import { readArrowStream } from '../event/arrow-read.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import type { PredictionBatch } from '../event/prediction-batch.ts'
import { decodePredictionBatch, encodePredictionBatch } from '../event/prediction-wire.ts'
import type { Inference, InferenceFault } from './inferrer.ts'

const FAULT_KEY = 'nustream.fault.'
/** A reader of metadata may leave out values over 4 kB. */
const MESSAGE_CHARACTERS_MAX = 500

/**
 * The answer of a model server to a batch in Arrow form: predictions in wire form of the events that have a direction,
 * in request order, and for each other event a metadata entry `nustream.fault.INDEX` with a JSON text of `event_id`
 * (as a string), `code` and `message`. Specified in docs/http-api.md.
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
  const faults = inference.faults.map(({ index, code, message }): [string, string] => {
    const text = {
      event_id: String(batch.eventIds[index]),
      code,
      message: message.slice(0, MESSAGE_CHARACTERS_MAX),
    }
    return [`${FAULT_KEY}${index}`, JSON.stringify(text)]
  })
  return encodePredictionBatch(predictions, new Map(faults))
}

/**
 * The directions of `batch` in the answer of a model server, which is trusted in nothing.
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
    model: { name: predictions.origin.model, version: predictions.origin.modelVersion },
    azimuth: new Float64Array(count).fill(Number.NaN),
    zenith: new Float64Array(count).fill(Number.NaN),
    kappa: new Float64Array(count).fill(Number.NaN),
    degenerate: new Uint8Array(count),
    faults: [...faults.values()],
  }
  let row = 0
  for (let i = 0; i < count; i++) {
    if (faults.has(i)) continue
    if (predictions.eventIds[row] !== batch.eventIds[i]) {
      throw wrong(`direction ${row} is of event ${predictions.eventIds[row]}, wanted ${batch.eventIds[i]}`)
    }
    inference.azimuth[i] = predictions.azimuth[row]
    inference.zenith[i] = predictions.zenith[row]
    inference.kappa[i] = predictions.kappa[row]
    inference.degenerate[i] = predictions.degenerate[row]
    if (!isDirection(inference.azimuth[i], inference.zenith[i]))
      inference.faults.push(noDirection(i, inference))
    row += 1
  }
  inference.faults.sort((a, b) => a.index - b.index)
  return inference
}

function readFaults(metadata: ReadonlyMap<string, string>, count: number): Map<number, InferenceFault> {
  const faults = new Map<number, InferenceFault>()
  for (const [key, text] of metadata) {
    if (!key.startsWith(FAULT_KEY)) continue
    const index = Number(key.slice(FAULT_KEY.length))
    if (!Number.isInteger(index) || index < 0 || index >= count) {
      throw wrong(`it names a fault ${key} where there are ${count} events`)
    }
    faults.set(index, { index, ...readFault(text) })
  }
  return faults
}

function readFault(text: string): { code: EventErrorCode; message: string } {
  try {
    const { code, message } = JSON.parse(text)
    const known = EVENT_ERROR_CODES.find((each) => each === code)
    // A server of another version may have reasons that this one does not know.
    return { code: known ?? 'model_failed', message: known ? String(message) : `${code}: ${message}` }
  } catch (error) {
    throw wrong(`the text of a fault is not JSON`, error)
  }
}

function isDirection(azimuth: number, zenith: number): boolean {
  return azimuth >= 0 && azimuth <= 2 * Math.PI && zenith >= 0 && zenith <= Math.PI
}

function noDirection(index: number, { azimuth, zenith, kappa }: Inference): InferenceFault {
  const message = `the model server answered azimuth ${azimuth[index]}, zenith ${zenith[index]}`
  azimuth[index] = zenith[index] = kappa[index] = Number.NaN
  return { index, code: 'model_output_invalid', message }
}

function wrong(problem: string, cause?: unknown): EventError {
  return new EventError('model_failed', `the model server's answer is not one to these events: ${problem}`, {
    cause,
  })
}
