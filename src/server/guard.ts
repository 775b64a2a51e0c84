import type { FastifyInstance } from 'fastify'
import type { createHostCheck, TokenCheck } from '../telemetry/access.ts'
import { type BodyBudget, checkDeclaredSize, closeBody } from './bodies.ts'
import { RequestError } from './errors.ts'
import type { ServerLimits } from './limits.ts'

export const ARROW_TYPE = 'application/vnd.apache.arrow.stream'

export interface Guards {
  readonly token: TokenCheck
  readonly budget: BodyBudget
  readonly limits: ServerLimits
}

/** Refuses requests of web pages of other sites, on every route. */
export function guardHosts(app: FastifyInstance, refusal: ReturnType<typeof createHostCheck>): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const problem = refusal(request.headers)
    done(problem === undefined ? undefined : new RequestError('forbidden', problem))
  })
}

/** Before a body is read: the token, then whether the body could be read, then its size as declared. */
export function guardInference(scope: FastifyInstance, { token, limits }: Guards): void {
  scope.addHook('onRequest', (request, reply, done) => {
    const { authorization } = request.headers
    if (!token.allows(authorization)) return done(unauthorized(authorization))
    if (request.method !== 'POST') return done()
    try {
      refuseEncoding(request.headers['content-encoding'])
      const isJson = request.headers['content-type']?.startsWith('application/json') === true
      checkDeclaredSize(request.raw, isJson ? limits.jsonBodyBytesMax : limits.binaryBodyBytesMax)
      reply.raw.once('close', () => closeBody(request.raw))
      done()
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
    }
  })
}

function unauthorized(authorization: string | undefined): RequestError {
  const problem = authorization === undefined ? 'no token was sent' : 'the token sent is not the right one'
  return new RequestError('unauthorized', `${problem}; send the header "Authorization: Bearer TOKEN"`)
}

function refuseEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return
  const message = `Content-Encoding ${encoding.slice(0, 40)} is not supported; send the body without`
  throw new RequestError('media_type_unknown', message)
}
