import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** Its name ends with a digest of the token: cookies know no ports, so displays of one host must not share a name. */
const COOKIE_PREFIX = 'nustream_display_'
const DIGEST_CHARACTERS = 12

/** What a request carries to prove that it knows the token. */
export interface Proof {
  readonly authorization?: string | undefined
  readonly cookie?: string | undefined
}

/** The token that guards what the page shows; without one everything is open. */
export class PageToken {
  readonly #token: string | undefined
  /** Value of the cookie: derived from the token, which cannot be derived from it. */
  readonly #proof: string
  readonly #cookieName: string

  constructor(token: string | undefined) {
    const derive = (purpose: string) =>
      createHmac('sha256', token ?? '')
        .update(purpose)
        .digest('hex')
    this.#token = token
    this.#proof = derive('nustream_display')
    this.#cookieName = COOKIE_PREFIX + derive('cookie name').slice(0, DIGEST_CHARACTERS)
  }

  isRight(given: string): boolean {
    return this.#token === undefined || isSame(given, this.#token)
  }

  /** By cookie, or as a bearer token for programs. */
  allows({ authorization, cookie }: Proof): boolean {
    if (this.#token === undefined) return true
    const bearer = /^bearer +(\S.*)$/i.exec(authorization ?? '')?.[1]
    if (bearer !== undefined && this.isRight(bearer)) return true
    return cookiesOf(cookie, this.#cookieName).some((proof) => isSame(proof, this.#proof))
  }

  /** Value of Set-Cookie for a browser that knows the token; out of reach of scripts and of other sites. */
  get cookie(): string {
    return `${this.#cookieName}=${this.#proof}; Path=/; HttpOnly; SameSite=Strict`
  }
}

/** Values of the cookies of that name in a Cookie header. */
function cookiesOf(header = '', name: string): string[] {
  return header
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1))
}

/** In constant time: neither content nor length of the right one shows in how long it takes. */
function isSame(given: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(right))
}
