import { createHmac } from 'node:crypto'
import { createTokenCheck, parseTokens, type TokenCheck } from '../telemetry/access.ts'

/** The name ends with a digest of the token: cookies ignore ports, so displays of one host must not share a name. */
const COOKIE_PREFIX = 'nustream_display_'
const DIGEST_CHARACTERS = 12

/** Headers with which a request shows that it knows a token. */
export interface Proof {
  readonly authorization?: string | undefined
  readonly cookie?: string | undefined
}

/** The tokens that protect the page. Without a token, access is open. */
export class PageToken {
  readonly #check: TokenCheck
  /** The cookie of each token: its value is derived from the token, which cannot be derived from it. */
  readonly #cookies: ReadonlyMap<string, string>

  /** @param list tokens, separated by commas or white space; any of them is right */
  constructor(list: string | undefined) {
    const tokens = parseTokens(list)
    this.#check = createTokenCheck(tokens)
    this.#cookies = new Map(tokens.map((token) => [token, toCookie(token)]))
  }

  isRight(given: string): boolean {
    return !this.#check.isNeeded || this.#check.isRight(given)
  }

  /** Checks the cookie or, for programs, the bearer token. */
  allows({ authorization, cookie = '' }: Proof): boolean {
    if (this.#check.allows(authorization)) return true
    const given = new Set(cookie.split(';').map((pair) => pair.trim()))
    return [...this.#cookies.values()].some((right) => given.has(right))
  }

  /** Value of Set-Cookie for a browser that knows the token; scripts and other sites cannot use it. */
  cookie(token: string): string {
    return `${this.#cookies.get(token) ?? toCookie(token)}; Path=/; HttpOnly; SameSite=Strict`
  }
}

/** Name and value. */
function toCookie(token: string): string {
  const derive = (purpose: string): string => createHmac('sha256', token).update(purpose).digest('hex')
  return `${COOKIE_PREFIX}${derive('cookie name').slice(0, DIGEST_CHARACTERS)}=${derive('nustream_display')}`
}
