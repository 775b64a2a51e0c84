import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { EventFault } from '../event/check.ts'
import { type EventBatch, eventCount, selectEvents } from '../event/event-batch.ts'
import { decodeEvents } from '../event/wire.ts'
import { allocateDirections, scatterDirections } from '../inference/directions.ts'
import type { Inference, Inferrer } from '../inference/inferrer.ts'
import { encodeAnswer } from '../inference/remote/answer-wire.ts'
import { readBody } from './bodies.ts'
import { RequestError } from './errors.ts'
import { ARROW_TYPE } from './guard.ts'
import { parseJson } from './json.ts'
import { writeJsonAnswer } from './json-answer.ts'
import { readJsonEvents } from './json-events.ts'
import { predictSchema } from './openapi.ts'
import { inferEvents, type Serving } from './serving.ts'

const JSON_TYPE = 'application/json; charset=utf-8'

/** `POST /predict`: raw events in, directions out, as JSON or as Arrow; docs/http-api.md. */
export function predictRoute(scope: FastifyInstance, serving: Serving): void {
  const { limits, budget, models } = serving
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('application/json', async (request: FastifyRequest) =>
    parseJson(await readBody(request, limits.jsonBodyBytesMax, budget), 'the body'),
  )
  scope.addContentTypeParser(ARROW_TYPE, (request: FastifyRequest) =>
    readBody(request, limits.binaryBodyBytesMax, budget),
  )
  scope.post('/predict', { schema: predictSchema }, (request, reply) =>
    models.run(async (model) => {
      const { body } = request
      if (Buffer.isBuffer(body)) {
        const bytes = await predictArrow(body, model, serving, reply)
        return reply.type(ARROW_TYPE).send(bytes)
      }
      const { status, body: answer } = await predictJson(body, model, serving, reply)
      return reply.code(status).type(JSON_TYPE).send(answer)
    }),
  )
}

async function predictJson(body: unknown, model: Inferrer, serving: Serving, reply: FastifyReply) {
  const asked = readJsonEvents(body, serving.limits.requestEventsMax)
  serving.metrics.events('refused', asked.refusals.length)
  return writeJsonAnswer(asked, await inferEvents(asked.batch, model, serving, reply))
}

/** @throws EventError when nothing of the batch can be read */
async function predictArrow(
  bytes: Buffer,
  model: Inferrer,
  serving: Serving,
  reply: FastifyReply,
): Promise<Uint8Array> {
  const { batch, faults } = decodeEvents(bytes)
  const count = eventCount(batch)
  const { requestEventsMax } = serving.limits
  if (count > requestEventsMax) {
    throw new RequestError(
      'events_too_many',
      `the batch holds ${count} events and one request may hold ${requestEventsMax}; send several requests`,
    )
  }
  serving.metrics.events('refused', faults.length)
  if (faults.length === 0) return encodeAnswer(batch, await inferEvents(batch, model, serving, reply))
  const faulty = new Set(faults.map(({ index }) => index))
  const sound = Int32Array.from(batch.eventIds.keys()).filter((index) => !faulty.has(index))
  const inference = await inferEvents(selectEvents(batch, sound), model, serving, reply)
  return encodeAnswer(batch, spread(inference, sound, batch, faults))
}

/** Directions of the sound events of a batch, as those of all its events. */
function spread(
  inference: Inference,
  sound: Int32Array,
  batch: EventBatch,
  faults: readonly EventFault[],
): Inference {
  const all = allocateDirections(eventCount(batch))
  for (const { index, code, message } of faults) all.faults.push({ index, code, message })
  scatterDirections(all, inference, sound)
  return { model: inference.model, ...all }
}
