import { createHash, timingSafeEqual } from 'node:crypto'
import { RequestError } from './request-error.ts'

/** Whether an Authorization header carries the bearer token; true for all where no token is set. */
export type TokenCheck = (authorization: string | undefined) => boolean

/** Compares digests in constant time, so that neither content nor length of the token shows in how long it takes. */
export function tokenCheck(token: string | undefined): TokenCheck {
  if (token === undefined) return () => true
  const expected = digest(`Bearer ${token}`)
  return (authorization) => {
    if (authorization === undefined) return false
    return timingSafeEqual(digest(authorization.replace(/^bearer +/i, 'Bearer ')), expected)
  }
}

export function unauthorized(authorization: string | undefined): RequestError {
  const problem = authorization === undefined ? 'no token was sent' : 'the token sent is not the right one'
  return new RequestError('unauthorized', `${problem}; send the header "Authorization: Bearer TOKEN"`)
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
