import { type DestinationStream, type Logger, pino } from 'pino'
import { cutText, maskSecrets } from './foreign-text.ts'

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LogOptions {
  readonly level?: LogLevel
  /** The command: `emit`, `consume` … */
  readonly role: string
  /** Which one of its role. */
  readonly instance: string
  /** Where lines go; standard error unless told otherwise, because standard output carries results. */
  readonly destination?: DestinationStream
}

/** Fields whose value is a secret whatever it holds, at the top of a line and one level down. */
const SECRET_FIELDS = ['token', 'password', 'authorization', 'secret', 'apiKey']

/** Longest stack of an error, in UTF-16 code units. */
const STACK_MAX = 8_192
/** Elements of a list, or fields of an object, that are written. */
const ITEMS_MAX = 100
const DEPTH_MAX = 4

/**
 * The root logger of a process: one JSON object per line. Written synchronously, so that the last line before a crash
 * is not lost. Passwords in URLs, bearer tokens and fields with a secret's name are masked. Every text of a line is cut
 * to `LOG_FIELD_MAX`, the stack of an error to 8,192 code units, lists to 100 elements and objects to four levels, so
 * that a line is short whatever the stream brings.
 */
export function createLog({ level = 'info', role, instance, destination }: LogOptions): Logger {
  return pino(
    {
      level,
      base: { role, instance },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        // A line's fields are an object, and so is what is kept of them.
        log: (fields) => cut(fields, 0) as Record<string, unknown>,
      },
      serializers: { err: cutError },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '***' },
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map((arg) => (typeof arg === 'string' ? cutText(arg) : arg)) as typeof args)
        },
        streamWrite: maskSecrets,
      },
    },
    destination ?? pino.destination({ dest: 2, sync: true }),
  )
}

function cut(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cutText(value)
  // An error under the name `err` is written by its serializer.
  if (typeof value !== 'object' || value === null || value instanceof Error) return value
  if (depth === DEPTH_MAX) return Array.isArray(value) ? '[Array]' : '[Object]'
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((item) => cut(item, depth + 1))
  if (Object.getPrototypeOf(value) !== Object.prototype) return value
  const entries = Object.entries(value).slice(0, ITEMS_MAX)
  return Object.fromEntries(entries.map(([key, item]) => [cutText(key), cut(item, depth + 1)]))
}

function cutError(error: Error): unknown {
  const { stack, ...rest } = pino.stdSerializers.err(error)
  return { ...(cut({ ...rest }, 0) as object), stack: cutText(stack, STACK_MAX) }
}

/** Writes one line for `key` now, or counts it silently; `repeats` is how many were kept back since the last line. */
export type RepeatLimit = (key: string, write: (repeats: number) => void) => void

/**
 * Limits repeats of one failure to one line per `everyMs`, with a count of what was kept back.
 * Keys are closed sets (codes), never ids, so that the table stays small.
 */
export function createRepeatLimit(
  everyMs = 10_000,
  now: () => number = () => performance.now(),
): RepeatLimit {
  const lines = new Map<string, { since: number; repeats: number }>()
  return (key, write) => {
    const last = lines.get(key)
    if (last !== undefined && now() - last.since < everyMs) {
      last.repeats++
      return
    }
    lines.set(key, { since: now(), repeats: 0 })
    write(last?.repeats ?? 0)
  }
}
