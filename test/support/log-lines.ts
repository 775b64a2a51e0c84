import { type Logger, pino } from 'pino'

export interface LogLines {
  readonly log: Logger
  /** Every line so far, as text. */
  readonly lines: readonly string[]
}

/** A logger whose lines a test can read. */
export function collectLog(): LogLines {
  const lines: string[] = []
  return { lines, log: pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) }) }
}
