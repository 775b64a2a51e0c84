import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { EventError, UnavailableError } from '../errors.ts'
import { createRepeatLimit } from '../telemetry/log.ts'
import { RequestError } from './request-error.ts'

/** Faults of the HTTP layer itself, in our words. */
const FASTIFY_CODES: Record<string, (error: FastifyError) => RequestError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new RequestError(
      'body_too_large',
      'the body is larger than the server takes; send fewer events per request',
    ),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new RequestError(
      'media_type_unknown',
      'the Content-Type must be application/json or application/vnd.apache.arrow.stream',
    ),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new RequestError('body_malformed', 'the body is shorter or longer than its Content-Length'),
}

/**
 * Turns whatever a handler threw into an answer. What is unknown is logged in full and shown as "internal error".
 * Under /v2 the body is `{"error": text}` as the Open Inference Protocol has it, elsewhere `{"error": {code, message}}`.
 */
export function errorAnswerer(
  log: Logger,
): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  const limited = createRepeatLimit()
  return (error, request, reply) => {
    const known = toRequestError(error)
    if (known.code === 'internal') {
      limited(request.routeOptions.url ?? 'unmatched', (repeats) =>
        log.error(
          { err: error, method: request.method, route: request.routeOptions.url, repeats },
          'request failed',
        ),
      )
    }
    // Fastify closes the connection on whatever is wrong with a body, and a client that still sends it would get a reset
    // instead of the answer. A body read to its end needs no close, the rest of any other is seen to in unread-body.ts.
    reply.removeHeader('connection')
    sendError(known, request.url, reply)
  }
}

export function sendError(error: RequestError, url: string, reply: FastifyReply): void {
  const { code, message, status, retryAfterSeconds } = error
  reply.code(status).type('application/json; charset=utf-8')
  if (status === 503 || retryAfterSeconds !== undefined) {
    reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterSeconds ?? 1))))
  }
  if (code === 'unauthorized') reply.header('www-authenticate', 'Bearer realm="nustream"')
  reply.send(JSON.stringify({ error: isOpenInference(url) ? message : { code, message } }))
}

export function isOpenInference(url: string): boolean {
  return url.startsWith('/v2/') || url === '/v2'
}

function toRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error
  if (error instanceof UnavailableError) {
    return new RequestError('unavailable', `the model cannot answer now (${error.code}); try again`, {
      cause: error,
      retryAfterSeconds: error.retryAfterSeconds ?? 1,
    })
  }
  if (error instanceof EventError) {
    return new RequestError('body_malformed', `${error.code}: ${error.message}`, { cause: error })
  }
  if (error instanceof Error && 'code' in error) {
    const make = FASTIFY_CODES[String(error.code)]
    // Fastify's own errors carry a code that begins with FST_ERR.
    if (make !== undefined) return make(error as FastifyError)
    if ('statusCode' in error && error.statusCode === 400) {
      return new RequestError('body_malformed', 'the request could not be read to its end', { cause: error })
    }
  }
  return new RequestError('internal', 'internal error', { cause: error })
}
