import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { BodyBudget } from './bodies.ts'
import type { Ticket } from './coalesce.ts'
import type { ServerLimits } from './limits.ts'
import type { ServerMetrics } from './metrics.ts'
import { RequestError } from './request-error.ts'
import { type TokenCheck, unauthorized } from './token.ts'

export const ARROW_TYPE = 'application/vnd.apache.arrow.stream'

export interface Guards {
  readonly allows: TokenCheck
  readonly budget: BodyBudget
  readonly limits: ServerLimits
}

/** Before a body is read: the token, then whether it could be read at all, then the room for it. */
export function guardInference(scope: FastifyInstance, { allows, budget, limits }: Guards): void {
  scope.addHook('onRequest', (request, reply, done) => {
    const { authorization } = request.headers
    if (!allows(authorization)) return done(unauthorized(authorization))
    if (request.method !== 'POST') return done()
    try {
      refuseEncoding(request.headers['content-encoding'])
      const held = budget.reserve(request.raw, bodyLimit(request, limits))
      reply.raw.once('close', () => budget.release(held))
      done()
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
    }
  })
}

function refuseEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return
  const message = `Content-Encoding ${encoding.slice(0, 40)} is not read here; send it plain`
  throw new RequestError('media_type_unknown', message)
}

function bodyLimit(request: FastifyRequest, limits: ServerLimits): number {
  const isJson = request.headers['content-type']?.startsWith('application/json') === true
  return isJson ? limits.jsonBodyBytesMax : limits.binaryBodyBytesMax
}

/** The answer of a ticket; a caller that goes away before it frees its place. */
export function answerOf<Answer>(
  ticket: Ticket<Answer>,
  reply: FastifyReply,
  metrics: ServerMetrics,
): Promise<Answer> {
  reply.raw.once('close', () => {
    if (reply.raw.writableFinished) return
    ticket.cancel()
    metrics.cancelled()
  })
  return ticket.answer
}
