import { readFileSync } from 'node:fs'
import { UsageError } from '../errors.ts'
import type { BrokerSettings } from './options.ts'

/** Where and as whom to connect. Never logged as a whole: `address` is the part that may be shown. */
export interface RedisTarget {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** PEM of the certificate authority, where it is not one that Node knows. */
  readonly ca: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
}

/** `host:port`, fit for logs and messages. */
export function addressOf({ host, port }: RedisTarget): string {
  return `${host}:${port}`
}

/**
 * The target that a URL `redis[s]://[user[:password]@]host[:port][/database]` and the options name; options win.
 * @throws UsageError when either is malformed; its message never holds a password
 */
export function readTarget(url: string, settings: BrokerSettings): RedisTarget {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch (cause) {
    // The cause would carry the URL, and with it a password.
    const { code } = cause instanceof Error && 'code' in cause ? cause : { code: 'unknown' }
    throw invalid(`is malformed (${code}); write redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]`)
  }
  const path = parsed.pathname.replace(/^\//, '')
  if (!/^\d{0,4}$/.test(path)) throw invalid(`names database "${path}"; a Redis database is a number`)
  if (parsed.hostname === '') throw invalid('names no host; write redis://HOST:PORT')
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: parsed.port === '' ? 6379 : Number(parsed.port),
    tls: parsed.protocol === 'rediss:',
    ca: settings.tlsCaFile === undefined ? undefined : readCa(settings.tlsCaFile),
    username: settings.username ?? decoded(parsed.username),
    password: settings.password ?? decoded(parsed.password),
    database: Number(path),
  }
}

function decoded(part: string): string | undefined {
  if (part === '') return undefined
  try {
    return decodeURIComponent(part)
  } catch {
    throw invalid(
      'has a user or password that is not percent-encoded; encode % as %25, @ as %40, : as %3A, / as %2F',
    )
  }
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new UsageError('flag_invalid', `certificate authority file ${file} cannot be read`, { cause })
  }
}

function invalid(why: string): UsageError {
  return new UsageError('broker_url_invalid', `broker URL ${why}`)
}
