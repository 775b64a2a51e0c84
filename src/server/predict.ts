import type { FastifyInstance, FastifyReply } from 'fastify'
import { predictArrow } from './arrow-answer.ts'
import { ARROW_TYPE, type Guards } from './guard.ts'
import { inferEvents, type PredictParts } from './infer-events.ts'
import { writeJsonAnswer } from './json-answer.ts'
import { readJsonEvents } from './json-events.ts'
import { RequestError } from './request-error.ts'
import { predictSchema } from './schemas.ts'

const JSON_TYPE = 'application/json; charset=utf-8'

/** `POST /predict`: raw events in, directions out, as JSON or as Arrow; docs/http-api.md. */
export function predictRoute(scope: FastifyInstance, parts: PredictParts, { limits }: Guards): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: limits.jsonBodyBytesMax },
    (_request, text, done) => {
      try {
        // parseAs 'string' hands over a string.
        done(null, JSON.parse(text as string))
      } catch (error) {
        done(notJson(error))
      }
    },
  )
  scope.addContentTypeParser(
    ARROW_TYPE,
    { parseAs: 'buffer', bodyLimit: limits.binaryBodyBytesMax },
    (_request, bytes, done) => done(null, bytes),
  )
  scope.post('/predict', { schema: predictSchema }, async (request, reply) => {
    const { body } = request
    if (Buffer.isBuffer(body)) {
      const bytes = await predictArrow(body, parts, reply)
      return reply.type(ARROW_TYPE).send(bytes)
    }
    const { status, body: answer } = await predictJson(body, parts, reply)
    return reply.code(status).type(JSON_TYPE).send(answer)
  })
}

async function predictJson(body: unknown, parts: PredictParts, reply: FastifyReply) {
  const asked = readJsonEvents(body, parts.requestEventsMax)
  parts.metrics.events('refused', asked.refusals.length)
  const inference = await inferEvents(asked.batch, parts, reply)
  return writeJsonAnswer(asked, inference)
}

function notJson(error: unknown): RequestError {
  const reason = error instanceof Error ? error.message : String(error)
  const hint = /NaN|Infinity|"N|"I/.test(reason) ? '; JSON has no NaN and no Infinity' : ''
  return new RequestError('body_malformed', `the body is not JSON: ${reason}${hint}`, { cause: error })
}
