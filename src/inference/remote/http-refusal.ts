import { EventError, UnavailableError, UsageError } from '../../errors.ts'
import type { HttpAnswer } from './http-caller.ts'

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

export function unauthorized(name: string): UsageError {
  return new UsageError(
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
