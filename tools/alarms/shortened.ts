/** Every duration of a rule is divided by this; a minute becomes 6 s. */
export const SHORTENED_BY = 10

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/**
 * The same rules with shorter durations: every `for:`, window (`[5m]`, `[10m:1m]`) and `offset` is divided by `SHORTENED_BY`.
 * Expressions, thresholds, labels and texts stay the same, as do ages in seconds in an expression, such as the 30 s without
 * a heartbeat.
 */
export function shortenRules(text: string): string {
  return text.replaceAll(/\b(?:for:|offset) \d+[smhd]\b|\[[\dsmhd:]+\]/g, shortenDurations)
}

/** Divides the intervals of scrapes and evaluations in the same way. */
export function shortenConfig(text: string): string {
  return text.replaceAll(/(?:_interval|_timeout): \d+[smhd]\b/g, shortenDurations)
}

function shortenDurations(text: string): string {
  return text.replaceAll(/(\d+)([smhd])/g, (_, count, unit) => {
    return `${(Number(count) * SECONDS[unit] * 1_000) / SHORTENED_BY}ms`
  })
}
