import { RequestError } from './errors.ts'

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value from outside in a few words, for error messages: never at length. */
export function show(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 40))}`
  return Array.isArray(value) ? 'a list' : 'an object'
}

/** Shorter texts are parsed in milliseconds, whatever they hold. */
const CHECK_BYTES = 256 * 1024
const DEPTH_MAX = 64
/** More than the pulses that a body within the limits can hold as records. */
const CONTAINERS_MAX = 1_000_000
const KEYS_MAX = 10_000
/** Characters of a number, blanks around it included. */
const NUMBER_MAX = 10_000

/**
 * The value of a JSON text; `what` names it in messages. Texts that would take `JSON.parse` seconds are refused first: too
 * deeply nested, too many lists and objects, too many different keys.
 * @throws RequestError `body_malformed`
 */
export function parseJson(bytes: Buffer, what: string): unknown {
  const problem = bytes.length > CHECK_BYTES ? findExcess(bytes) : undefined
  if (problem !== undefined) throw new RequestError('body_malformed', `${what} ${problem}`)
  try {
    return JSON.parse(bytes.toString())
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const hint = /NaN|Infinity|"N|"I/.test(reason) ? '; JSON has no NaN and no Infinity' : ''
    throw new RequestError('body_malformed', `${what} is not JSON: ${reason}${hint}`, { cause: error })
  }
}

const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c]
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d]
/** 1 for the bytes that begin or end a value. [256] */
const IS_STRUCTURE = new Uint8Array(256)
for (const byte of [QUOTE, COLON, COMMA, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT])
  IS_STRUCTURE[byte] = 1

/** What a JSON text has too much of, found in one pass; undefined where it has not, or is not JSON. */
function findExcess(bytes: Buffer): string | undefined {
  const keys = new Set<number>()
  // The latest keys by a part of their hash, which spares most look-ups in the set.
  const latest = new Int32Array(1024)
  let [depth, containers, hash, last] = [0, 0, 0, 0]
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (IS_STRUCTURE[byte] === 0) continue
    if (byte === QUOTE) {
      // FNV-1a of the string, in case it is a key.
      hash = 0x811c9dc5
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) {
        if (bytes[at] === BACKSLASH) at++
        hash = Math.imul(hash ^ bytes[at], 0x01000193)
      }
    } else if (byte === COLON) {
      if (latest[hash & 1023] !== hash) keys.add(hash)
      latest[hash & 1023] = hash
      if (keys.size > KEYS_MAX) return `has more than ${KEYS_MAX} different keys`
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++depth > DEPTH_MAX) return `is nested more than ${DEPTH_MAX} levels deep`
      if (++containers > CONTAINERS_MAX) return `holds more than ${CONTAINERS_MAX} lists and objects`
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--
    if (at - last > NUMBER_MAX && byte !== QUOTE)
      return `holds a number of more than ${NUMBER_MAX} characters`
    last = at
  }
  if (bytes.length - last > NUMBER_MAX) return `ends with a number of more than ${NUMBER_MAX} characters`
  return undefined
}
