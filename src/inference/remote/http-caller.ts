import {
  Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
} from 'node:http'
import { request as requestHttps, Agent as TlsAgent } from 'node:https'
import { EventError, UnavailableError, UsageError } from '../../errors.ts'

export interface HttpCall {
  readonly method: 'GET' | 'POST'
  /** Below the base URL, without a leading slash. */
  readonly path: string
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly timeoutMs: number
  /** The span that calls (https://www.w3.org/TR/trace-context/). */
  readonly traceparent?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface HttpAnswer {
  readonly status: number
  readonly retryAfterSeconds: number | undefined
  readonly headers: IncomingHttpHeaders
  /** In an array buffer of its own, from its first byte. */
  readonly body: Uint8Array
}

export interface HttpCaller {
  /** The server, for messages: without credentials. */
  readonly name: string
  /**
   * @throws UnavailableError `model_unreachable` when no whole answer comes in time
   * @throws UsageError when the server's certificate is not to be trusted
   * @throws the signal's reason once it aborts
   */
  call(call: HttpCall): Promise<HttpAnswer>
  /** Ends all connections; calls in flight fail. */
  close(): void
}

export interface HttpCallerOptions {
  readonly concurrency: number
  readonly token: string | undefined
  readonly ca: string | Buffer | undefined
}

/** An answer has 60 bytes an event; this is a million events, and a bound for a faulty server. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024

/** Keeps at most `concurrency` + 1 connections open between calls; the last one is for health checks. */
export function openHttpCaller(base: URL, { concurrency, token, ca }: HttpCallerOptions): HttpCaller {
  const isTls = base.protocol === 'https:'
  const keep = { keepAlive: true, maxSockets: concurrency + 1, scheduling: 'lifo' } as const
  const agent = isTls ? new TlsAgent({ ...keep, ...(ca !== undefined && { ca }) }) : new Agent(keep)
  const request = isTls ? requestHttps : requestHttp
  const name = `the model server at ${base.host}`
  const root = base.href.endsWith('/') ? base : new URL(`${base.href}/`)
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }

  const once = (call: HttpCall): Promise<HttpAnswer> => {
    const options: RequestOptions = {
      agent,
      method: call.method,
      headers: {
        ...headers,
        ...call.headers,
        ...(call.traceparent && { traceparent: call.traceparent }),
        ...(call.type && { 'content-type': call.type }),
        ...(call.body && { 'content-length': call.body.length }),
      },
    }
    return exchange(request(new URL(call.path, root), options), call)
  }
  return {
    name,
    async call(call) {
      call.signal?.throwIfAborted()
      try {
        return await once(call).catch((error: unknown) => {
          // The server closed an idle connection just before it was used; it may be up.
          if (error instanceof StaleConnection) return once(call)
          throw error
        })
      } catch (error) {
        call.signal?.throwIfAborted()
        throw toKnown(error, name)
      }
    },
    close: () => agent.destroy(),
  }
}

class StaleConnection extends Error {}

/** Cause of the error of a call that was given up at its own deadline. */
export class NoAnswerInTime extends Error {}

function exchange(request: ClientRequest, { body, timeoutMs, signal }: HttpCall): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>()
  let timer: NodeJS.Timeout | undefined
  // While every connection is busy the request waits for one, and its time has not begun.
  request.once('socket', () => {
    timer = setTimeout(
      () => request.destroy(new NoAnswerInTime(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    )
  })
  const abort = () => request.destroy(new Error('aborted'))
  signal?.addEventListener('abort', abort, { once: true })
  request.on('error', (error: NodeJS.ErrnoException) => {
    const isStale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
    reject(isStale ? new StaleConnection(error.message, { cause: error }) : error)
  })
  request.once('response', (response) => readAnswer(response).then(resolve, reject))
  request.end(body)
  return promise.finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  })
}

async function readAnswer(response: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    length += chunk.length
    if (length > ANSWER_BYTES_MAX) {
      response.destroy()
      throw new Error(`the answer has more than ${ANSWER_BYTES_MAX} bytes`)
    }
    chunks.push(chunk)
  }
  const body = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    retryAfterSeconds: toSeconds(response.headers['retry-after']),
    body,
  }
}

/** Retry-After is seconds or a date (RFC 9110 §10.2.3). */
function toSeconds(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : (Date.parse(header) - Date.now()) / 1000
  return Number.isFinite(seconds) ? Math.min(600, Math.max(0, seconds)) : undefined
}

const CERTIFICATE_CODES =
  /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY))/

function toKnown(error: unknown, name: string): Error {
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (CERTIFICATE_CODES.test(code)) {
    return new UsageError(
      'config_invalid',
      `the certificate of ${name} is not trusted (${message}); name its authority in NODE_EXTRA_CA_CERTS`,
      { cause: error },
    )
  }
  return new UnavailableError('model_unreachable', `${name} cannot be reached: ${message || code}`, {
    cause: error,
  })
}

/** Cause of the error of an answer 504: the server gave up. */
export class GatewayTimeout extends Error {}

/** What an answer other than 200 to a request with so many events means for them. */
export function refusal(name: string, answer: HttpAnswer, events: number): Error {
  const { status } = answer
  const said = `${name} answered ${status}: ${messageOf(answer)}`
  if (status === 401 || status === 403) return unauthorized(name)
  if (status === 503 || status === 429 || status === 504) {
    return new UnavailableError('model_overloaded', said, {
      retryAfterSeconds: answer.retryAfterSeconds ?? 1,
      ...(status === 504 && { cause: new GatewayTimeout(said) }),
    })
  }
  // Proxies say so of a server that is away.
  if (status === 502) return new UnavailableError('model_unreachable', said)
  if (events === 0) return new UnavailableError('model_unreachable', said)
  return new EventError('model_failed', `${said} (a batch of ${events} events)`)
}

/**
 * For the opening of a model: a server that is away may come back and is no error, a token that it does not take is one.
 * @throws UsageError `unauthorized`; every error that is no UnavailableError
 */
export function throwUnlessAway(error: unknown): void {
  if (!(error instanceof UnavailableError)) throw error
  if (error.code === 'unauthorized') throw new UsageError('unauthorized', error.message, { cause: error })
}

/** While a token is being replaced the servers may have the new one before their callers. */
export function unauthorized(name: string): UnavailableError {
  return new UnavailableError(
    'unauthorized',
    `${name} does not take the token; give the one that the model server was started with`,
  )
}

/** Our servers say what is wrong as JSON; of others, the beginning of whatever they say. */
function messageOf({ body }: HttpAnswer): string {
  const text = Buffer.from(body.subarray(0, 4096)).toString()
  try {
    const { error } = JSON.parse(text)
    const message = typeof error === 'string' ? error : error?.message
    if (typeof message === 'string') return message.slice(0, 500)
  } catch {
    // Not JSON: the text itself is all there is.
  }
  return text.slice(0, 200)
}
