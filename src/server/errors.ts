import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { OutOfTime } from '../async/deadline.ts'
import { EventError, UnavailableError } from '../errors.ts'
import { createRepeatLimit } from '../telemetry/log.ts'
import type { ServerMetrics } from './metrics.ts'

/** Reasons to refuse a request as a whole. Closed set, listed in docs/http-api.md. */
export const REQUEST_ERROR_CODES = [
  'body_malformed', // not JSON, not Arrow, or without the fields asked for
  'body_too_large',
  'events_too_many',
  'media_type_unknown',
  'unauthorized',
  'forbidden', // a Host or an Origin that may not ask
  'not_found',
  'model_unknown',
  'tensor_invalid', // a tensor whose name, datatype, shape or data does not fit the model
  'deadline_exceeded',
  'overloaded',
  'unavailable', // the model cannot answer now
  'closing',
  'internal',
] as const
export type RequestErrorCode = (typeof REQUEST_ERROR_CODES)[number]

const STATUS: Record<RequestErrorCode, number> = {
  body_malformed: 400,
  body_too_large: 413,
  events_too_many: 413,
  media_type_unknown: 415,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  model_unknown: 404,
  tensor_invalid: 400,
  deadline_exceeded: 504,
  overloaded: 503,
  unavailable: 503,
  closing: 503,
  internal: 500,
}

/** A request that gets no directions. The caller sees the message: it never holds what other callers sent. */
export class RequestError extends Error {
  readonly code: RequestErrorCode
  readonly retryAfterSeconds: number | undefined

  constructor(
    code: RequestErrorCode,
    message: string,
    options?: ErrorOptions & { readonly retryAfterSeconds?: number },
  ) {
    super(message, options)
    this.code = code
    this.retryAfterSeconds = options?.retryAfterSeconds
  }

  override get name(): string {
    return 'RequestError'
  }

  get status(): number {
    return STATUS[this.code]
  }
}

/** Faults that Fastify finds. */
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
 * Turns an error that a handler threw into an answer. An unknown error is logged in full and shown as "internal error".
 * Under /v2 the body is `{"error": text}` as the Open Inference Protocol has it, elsewhere `{"error": {code, message}}`.
 */
export function errorAnswerer(
  log: Logger,
  metrics: ServerMetrics,
): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  const limited = createRepeatLimit()
  return (error, request, reply) => {
    const known = toRequestError(error)
    if (known.code === 'overloaded') metrics.rejectedOverload()
    if (known.code === 'internal') {
      limited(request.routeOptions.url ?? 'unmatched', (repeats) =>
        log.error(
          { err: error, method: request.method, route: request.routeOptions.url, repeats },
          'request failed',
        ),
      )
    }
    // Fastify closes the connection when a body is refused, and a client that still sends it would get a reset instead of
    // the answer. A body that was read to its end needs no close, and bodies.ts takes care of the rest of any other.
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
  if (error instanceof OutOfTime) {
    return new RequestError('deadline_exceeded', error.message, { cause: error, retryAfterSeconds: 1 })
  }
  if (error instanceof UnavailableError && error.code === 'model_overloaded') {
    const { message, retryAfterSeconds } = error
    return new RequestError('overloaded', message, {
      cause: error,
      retryAfterSeconds: retryAfterSeconds ?? 1,
    })
  }
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
