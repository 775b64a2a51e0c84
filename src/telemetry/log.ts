import { type DestinationStream, type Logger, pino } from 'pino'
import { maskSecrets } from './secrets.ts'

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

/**
 * The root logger of a process: one JSON object per line. Written synchronously, so that the last line before a crash
 * is not lost. Passwords in URLs, bearer tokens and fields with a secret's name never leave it.
 */
export function createLog({ level = 'info', role, instance, destination }: LogOptions): Logger {
  return pino(
    {
      level,
      base: { role, instance },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '***' },
      hooks: { streamWrite: maskSecrets },
    },
    destination ?? pino.destination({ dest: 2, sync: true }),
  )
}
