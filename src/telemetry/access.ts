import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { UsageError } from '../errors.ts'

/** Checks bearer tokens. Several may be right at the same time, so that a token can be replaced without an outage. */
export interface TokenCheck {
  /** False where no token is needed. */
  readonly isNeeded: boolean
  isRight(token: string): boolean
  /** Whether an Authorization header carries a right token; true for every header where no token is needed. */
  allows(authorization: string | undefined): boolean
}

/** The tokens of a list that is separated by commas, spaces or line ends. */
export function parseTokens(list: string | undefined): string[] {
  return list?.split(/[\s,]+/).filter((token) => token !== '') ?? []
}

/** Tokens are compared by digest, in constant time: how long that takes tells neither content nor length of a right one. */
export function createTokenCheck(tokens: readonly string[] | (() => readonly string[])): TokenCheck {
  const current = typeof tokens === 'function' ? tokens : () => tokens
  let known: readonly string[] = []
  let digests: readonly Buffer[] = []
  const right = (): readonly Buffer[] => {
    const now = current()
    if (now !== known) digests = now.map(digest)
    known = now
    return digests
  }
  const isRight = (token: string): boolean => {
    const given = digest(token)
    // Every token is compared, so that the time does not tell which one is right.
    return right().reduce((found, each) => timingSafeEqual(given, each) || found, false)
  }
  return {
    get isNeeded() {
      return current().length > 0
    },
    isRight,
    allows(authorization) {
      if (current().length === 0) return true
      const token = /^bearer +(\S+)$/i.exec(authorization?.trim() ?? '')?.[1]
      return token !== undefined && isRight(token)
    },
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

const FILE_CHECK_MS = 1_000

/**
 * The tokens in a file, one a line. The file is read again when it changes; while it cannot be read, or holds no token, the
 * tokens before stay right.
 * @throws UsageError where it cannot be read at first, or holds no token
 */
export function tokensInFile(path: string, nowMs = () => performance.now()): () => readonly string[] {
  let tokens = readTokens(path)
  let changedMs = changeTime(path)
  let checkedMs = nowMs()
  return () => {
    if (nowMs() - checkedMs < FILE_CHECK_MS) return tokens
    checkedMs = nowMs()
    const now = changeTime(path)
    if (now === undefined || now === changedMs) return tokens
    try {
      tokens = readTokens(path)
      changedMs = now
    } catch {
      // It is being written: the next check reads it.
    }
    return tokens
  }
}

function changeTime(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs
}

function readTokens(path: string): string[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new UsageError('flag_invalid', `the token file ${path} cannot be read: ${messageOf(cause)}`, {
      cause,
    })
  }
  const tokens = parseTokens(text)
  if (tokens.length > 0) return tokens
  throw new UsageError('flag_invalid', `the token file ${path} holds no token; write one a line`)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export interface HostRules {
  /** Address that the server listens on. Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Further names under which browsers and programs may ask for it. */
  readonly allowedHosts?: readonly string[] | undefined
}

const LOOPBACK = ['127.0.0.1', 'localhost', '::1']

/**
 * Why a request is refused for its Host or Origin header; undefined where it is not. A web page of another site can make
 * a browser ask a server on this machine, by its address or by a name of its own that resolves to it (DNS rebinding).
 * A server on a loopback address, and one with `allowedHosts`, therefore answers under known names only, and refuses
 * pages of other sites.
 */
export function createHostCheck({
  host = '127.0.0.1',
  allowedHosts = [],
}: HostRules): (headers: IncomingHttpHeaders) => string | undefined {
  const isLoopback = LOOPBACK.includes(host) || host.startsWith('127.')
  if (!isLoopback && allowedHosts.length === 0) return () => undefined
  const allowed = new Set([...LOOPBACK, host, ...allowedHosts].map((each) => toHostname(each) ?? each))
  return ({ host: asked, origin }) => {
    // HTTP/1.0 needs no Host header; no browser speaks it.
    const name = asked === undefined ? undefined : toHostname(asked)
    if (asked !== undefined && (name === undefined || !allowed.has(name)))
      return `the Host header ${quote(asked)} is none that this server answers to; name it with --allowed-hosts`
    if (origin === undefined) return undefined
    const from = URL.parse(origin)
    if (from !== null && (from.host === asked?.toLowerCase() || allowed.has(unbracketed(from.hostname))))
      return undefined
    return `pages of ${quote(origin)} may not ask this server; name the host with --allowed-hosts`
  }
}

/** The name in a Host header or a setting, without port and brackets; undefined where it is none. */
function toHostname(host: string): string | undefined {
  const isBareIpv6 = host.includes('::') && !host.startsWith('[')
  const url = URL.parse(`http://${isBareIpv6 ? `[${host}]` : host}`)
  if (url === null || url.hostname === '' || url.username !== '' || url.pathname !== '/') return undefined
  return unbracketed(url.hostname)
}

function unbracketed(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}
