import type { IncomingMessage } from 'node:http'
import { RequestError } from './request-error.ts'

/** Counts the bytes of request bodies that are on their way or held, so that many large ones cannot fill the memory. */
export class BodyBudget {
  readonly #bytesMax: number
  #held = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get heldBytes(): number {
    return this.#held
  }

  /**
   * Takes the room that the body declares (its limit where it declares none) and returns how much that is.
   * @throws RequestError `body_too_large`, `overloaded`
   */
  reserve(request: IncomingMessage, limitBytes: number): number {
    const declared = request.headers['content-length']
    const bytes = declared === undefined ? limitBytes : Number(declared)
    if (bytes > limitBytes) throw bodyTooLarge(bytes, limitBytes)
    // One body always fits, or a small budget would refuse it for ever.
    if (this.#held > 0 && this.#held + bytes > this.#bytesMax) {
      const message = `requests hold ${this.#held} bytes already and at most ${this.#bytesMax} may; try again in 1 s`
      throw new RequestError('overloaded', message, { retryAfterSeconds: 1 })
    }
    this.#held += bytes
    return bytes
  }

  release(bytes: number): void {
    this.#held -= bytes
  }
}

export function bodyTooLarge(bytes: number | undefined, limitBytes: number): RequestError {
  const size = bytes === undefined ? 'more than that' : `${bytes} bytes`
  return new RequestError(
    'body_too_large',
    `a body of this type may have ${limitBytes} bytes, this one has ${size}; send fewer events per request`,
  )
}
