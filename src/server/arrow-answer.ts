import type { FastifyReply } from 'fastify'
import type { EventFault } from '../event/check.ts'
import { type EventBatch, eventCount, selectEvents } from '../event/event-batch.ts'
import { decodeEvents } from '../event/wire.ts'
import type { Inference, ModelIdentity } from '../inference/inferrer.ts'
import { encodeAnswer } from '../inference/remote/answer-wire.ts'
import { inferEvents, type PredictParts } from './infer-events.ts'
import { RequestError } from './request-error.ts'

/**
 * Answers events in wire form with predictions in wire form.
 * @throws EventError when nothing of the batch can be read
 */
export async function predictArrow(
  bytes: Buffer,
  parts: PredictParts,
  reply: FastifyReply,
): Promise<Uint8Array> {
  const { batch, faults } = decodeEvents(bytes)
  const count = eventCount(batch)
  if (count > parts.requestEventsMax) {
    throw new RequestError(
      'events_too_many',
      `the batch holds ${count} events and one request may hold ${parts.requestEventsMax}; send several requests`,
    )
  }
  parts.metrics.events('refused', faults.length)
  if (faults.length === 0)
    return encodeAnswer(batch, (await inferEvents(batch, parts, reply)) ?? none(parts.model()))
  const faulty = new Set(faults.map(({ index }) => index))
  const sound = Int32Array.from([...batch.eventIds.keys()].filter((index) => !faulty.has(index)))
  const inference = (await inferEvents(selectEvents(batch, sound), parts, reply)) ?? none(parts.model())
  return encodeAnswer(batch, spread(inference, sound, batch, faults))
}

/** An inference over the sound events of a batch as one over all its events. */
function spread(
  inference: Inference,
  sound: Int32Array,
  batch: EventBatch,
  faults: readonly EventFault[],
): Inference {
  const count = eventCount(batch)
  const all = {
    model: inference.model,
    azimuth: new Float64Array(count).fill(Number.NaN),
    zenith: new Float64Array(count).fill(Number.NaN),
    kappa: new Float64Array(count).fill(Number.NaN),
    degenerate: new Uint8Array(count),
  }
  for (const [i, index] of sound.entries()) {
    all.azimuth[index] = inference.azimuth[i]
    all.zenith[index] = inference.zenith[i]
    all.kappa[index] = inference.kappa[i]
    all.degenerate[index] = inference.degenerate[i]
  }
  const failed = inference.faults.map((fault) => ({ ...fault, index: sound[fault.index] }))
  const refused = faults.map(({ index, code, message }) => ({ index, code, message }))
  return { ...all, faults: [...refused, ...failed] }
}

function none(model: ModelIdentity): Inference {
  const empty = new Float64Array(0)
  return { model, azimuth: empty, zenith: empty, kappa: empty, degenerate: new Uint8Array(0), faults: [] }
}
