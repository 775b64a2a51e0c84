import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

const COOKIE = 'nustream_display'

/** What a request carries to prove that it knows the token. */
export interface Proof {
  readonly authorization?: string | undefined
  readonly cookie?: string | undefined
}

/** The token that guards what the page shows; without one everything is open. */
export class PageToken {
  readonly #token: string | undefined
  /** What the cookie holds: made of the token, and of no use to learn it. */
  readonly #proof: string

  constructor(token: string | undefined) {
    this.#token = token
    this.#proof = createHmac('sha256', token ?? '')
      .update(COOKIE)
      .digest('hex')
  }

  isRight(given: string): boolean {
    return this.#token === undefined || isSame(given, this.#token)
  }

  /** By cookie, or as a bearer token for programs. */
  allows({ authorization, cookie }: Proof): boolean {
    if (this.#token === undefined) return true
    const bearer = /^bearer +(.+)$/i.exec(authorization ?? '')?.[1]
    if (bearer !== undefined && this.isRight(bearer)) return true
    const proof = new RegExp(`(?:^|; *)${COOKIE}=([0-9a-f]+)`).exec(cookie ?? '')?.[1]
    return proof !== undefined && isSame(proof, this.#proof)
  }

  /** Value of Set-Cookie for a browser that knows the token; out of reach of scripts and of other sites. */
  get cookie(): string {
    return `${COOKIE}=${this.#proof}; Path=/; HttpOnly; SameSite=Strict`
  }
}

/** In constant time: neither content nor length of the right one shows in how long it takes. */
function isSame(given: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(right))
}
