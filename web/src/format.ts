/** Thin space between number and unit. */
const THIN = '\u2009'
const NONE = '–'

export function formatCount(count: number): string {
  return count.toLocaleString('en', { maximumFractionDigits: 0 })
}

/** Three digits: 0.52, 12.3, 3,046. */
export function formatRate(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value >= 100 ? 0 : value >= 10 ? 1 : 2 })
}

/** An axis tick: 250, 20k, 3M. */
export function formatShort(value: number): string {
  if (value >= 1_000_000) return `${value / 1_000_000}M`
  return value >= 1_000 ? `${value / 1_000}k` : String(value)
}

export function formatDegrees(radians: number, digits = 1): string {
  return `${((radians * 180) / Math.PI).toFixed(digits)}°`
}

export function formatRadians(radians: number | null): string {
  return radians === null ? NONE : radians.toFixed(3)
}

/** An age or a waiting time: 120 ms, 4.2 s, 3 min, 2 h. */
export function formatDuration(ms: number | null): string {
  if (ms === null) return NONE
  if (ms < 999.5) return `${Math.round(ms)}${THIN}ms`
  const seconds = ms / 1_000
  if (seconds < 99.5) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)}${THIN}s`
  const minutes = seconds / 60
  return minutes < 99.5 ? `${Math.round(minutes)}${THIN}min` : `${Math.round(minutes / 60)}${THIN}h`
}

/** Whole seconds, or "now" for less than one. */
export function formatAge(ms: number): string {
  return ms < 1_000 ? 'now' : formatDuration(Math.round(ms / 1_000) * 1_000)
}

/** Age of a heartbeat, to a tenth of a second below ten seconds. */
export function formatBeat(ms: number): string {
  return ms < 9_950 ? `${(Math.max(0, ms) / 1_000).toFixed(1)}${THIN}s` : formatDuration(ms)
}

/** Charge in photo-electrons. */
export function formatCharge(charge: number): string {
  return `${charge.toLocaleString('en', { maximumFractionDigits: charge < 100 ? 1 : 0 })}${THIN}p.e.`
}

/** Time within an event. */
export function formatMicroseconds(ns: number): string {
  return `${(ns / 1_000).toFixed(2)}${THIN}µs`
}
