import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RequestError } from './errors.ts'
import type { ServerLimits } from './limits.ts'

/** The bytes of one request's body that have arrived. */
interface Body {
  bytes: number
  /** Ends its reading; undefined once it has arrived whole, or was refused. */
  refuse: ((error: RequestError) => void) | undefined
}

/**
 * Counts the bytes of request bodies that have arrived and are held, so that many bodies together cannot fill the memory.
 * When too many are held, the largest body that is still arriving is refused: a small body is not refused because of
 * large ones that arrive slowly.
 */
export class BodyBudget {
  readonly #bytesMax: number
  readonly #arriving = new Set<Body>()
  #held = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get heldBytes(): number {
    return this.#held
  }

  /** @param refuse is called at most once, from `add` of this or of another body */
  open(refuse: (error: RequestError) => void): Body {
    const body: Body = { bytes: 0, refuse }
    this.#arriving.add(body)
    return body
  }

  add(body: Body, bytes: number): void {
    body.bytes += bytes
    this.#held += bytes
    while (this.#held > this.#bytesMax) {
      const largest = this.#largestArriving()
      // A body that is the only one always fits, or a small budget would refuse it for ever.
      if (largest === undefined || largest.bytes === this.#held) return
      this.#refuse(largest)
    }
  }

  /** The body has arrived whole, and is held until `close`. */
  complete(body: Body): void {
    body.refuse = undefined
    this.#arriving.delete(body)
  }

  /** Harmless the second time. */
  close(body: Body): void {
    this.complete(body)
    this.#held -= body.bytes
    body.bytes = 0
  }

  #largestArriving(): Body | undefined {
    let largest: Body | undefined
    for (const body of this.#arriving) if (largest === undefined || body.bytes > largest.bytes) largest = body
    return largest
  }

  #refuse(body: Body): void {
    const { refuse } = body
    this.close(body)
    const message = `requests hold ${this.#bytesMax} bytes already, as many as they may; try again in 1 s`
    refuse?.(new RequestError('overloaded', message, { retryAfterSeconds: 1 }))
  }
}

/**
 * The body of a request, whole.
 * @throws RequestError `body_too_large`, `overloaded`; Error where the client goes away
 */
export function readBody(request: FastifyRequest, limitBytes: number, budget: BodyBudget): Promise<Buffer> {
  const { raw } = request
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const chunks: Buffer[] = []
  const stop = (): void => {
    raw.off('data', onData).off('end', onEnd).off('error', onError)
  }
  const fail = (error: Error): void => {
    stop()
    chunks.length = 0
    // Nobody reads the rest: it is thrown away as it comes.
    raw.resume()
    reject(error)
  }
  const body = budget.open(fail)
  openBodies.set(raw, () => budget.close(body))
  const onData = (chunk: Buffer): void => {
    if (body.bytes + chunk.length > limitBytes) {
      budget.close(body)
      fail(bodyTooLarge(undefined, limitBytes))
      return
    }
    chunks.push(chunk)
    budget.add(body, chunk.length)
  }
  const onEnd = (): void => {
    stop()
    budget.complete(body)
    resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, body.bytes))
  }
  const onError = (cause: Error): void => {
    budget.close(body)
    fail(new RequestError('body_malformed', 'the request could not be read to its end', { cause }))
  }
  raw.on('data', onData).on('end', onEnd).on('error', onError)
  return promise
}

/** How to give back what the body of a request holds. */
const openBodies = new WeakMap<IncomingMessage, () => void>()

/** Gives back what the body of a request holds, once it was answered or its client is gone. */
export function closeBody(raw: IncomingMessage): void {
  openBodies.get(raw)?.()
  openBodies.delete(raw)
}

/** @throws RequestError where the request says that its body is too large, before any of it is read */
export function checkDeclaredSize(raw: IncomingMessage, limitBytes: number): void {
  const bytes = Number(raw.headers['content-length'] ?? 0)
  if (bytes > limitBytes) throw bodyTooLarge(bytes, limitBytes)
}

function bodyTooLarge(bytes: number | undefined, limitBytes: number): RequestError {
  const size = bytes === undefined ? 'more than that' : `${bytes} bytes`
  return new RequestError(
    'body_too_large',
    `a body of this type may have ${limitBytes} bytes, this one has ${size}; send fewer events per request`,
  )
}

/**
 * A refusal reaches a client that is still sending its body only while somebody reads on: closing the connection with
 * unread bytes resets it, and the answer is lost on the way. So the rest is read and thrown away for a while (Node does
 * that once the answer is sent), and then the connection is cut.
 */
export function lingerOnUnreadBodies(app: FastifyInstance, limits: ServerLimits): void {
  const bodyBytesMax = Math.max(limits.jsonBodyBytesMax, limits.binaryBodyBytesMax)
  app.addHook('onResponse', (request, _reply, done) => {
    const { raw } = request
    // Undefined, not false, for a request that never was on a socket (`inject`).
    if (raw.complete === false && !raw.destroyed) {
      const timer = setTimeout(() => raw.socket.destroy(), limits.lingerMs)
      raw.once('close', () => clearTimeout(timer))
    }
    done()
  })
  // A client that asks before it sends (RFC 9110 §10.1.1) gets the refusal instead of the go-ahead.
  app.server.on('checkContinue', (request, response) => {
    if (!(Number(request.headers['content-length']) > bodyBytesMax)) response.writeContinue()
    app.server.emit('request', request, response)
  })
}
