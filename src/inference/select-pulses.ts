import type { EventBatch } from '../event/event-batch.ts'
import type { PulsesSpec } from './manifest.ts'

/** Rows of one event that a model sees, in the order in which it sees them. */
export type SelectPulses = (batch: EventBatch, event: number) => Int32Array

/**
 * The selection of a manifest (docs/models.md, `pulses`). The returned function gives a view of a buffer that its next
 * call overwrites. Linear in the number of pulses, except where an event must be sorted.
 */
export function buildSelectPulses(spec: PulsesSpec): SelectPulses {
  let buffer = new Int32Array(1024)
  return (batch, event) => {
    const from = batch.offsets[event]
    const to = batch.offsets[event + 1]
    if (buffer.length < to - from) buffer = new Int32Array(2 * (to - from))
    const kept = keep(batch, from, to, { spec, buffer })
    const isCut = spec.max !== null && kept.length > spec.max
    if (isCut || spec.order === 'time') sortByTime(kept, batch.times)
    const chosen = isCut ? cut(kept, batch, spec) : kept
    if (spec.order === 'charge') sortByCharge(chosen, batch.charges)
    if (spec.order === 'as-given' && isCut) chosen.sort()
    return chosen
  }
}

/** Upper bound of the pulses that `buildSelectPulses` takes from an event of `pulses` rows. */
export function selectedAtMost(spec: PulsesSpec, pulses: number): number {
  return spec.max === null ? pulses : Math.min(pulses, spec.max)
}

interface KeepInto {
  readonly spec: PulsesSpec
  readonly buffer: Int32Array
}

function keep(batch: EventBatch, from: number, to: number, { spec, buffer }: KeepInto): Int32Array {
  if (spec.keep === 'hlc') {
    let kept = 0
    for (let row = from; row < to; row++) if (batch.auxiliary[row] === 0) buffer[kept++] = row
    if (kept >= spec.hlcMin) return buffer.subarray(0, kept)
  }
  for (let row = from; row < to; row++) buffer[row - from] = row
  return buffer.subarray(0, to - from)
}

/** The `max` pulses of `rows` (in time order, more than `max`) that the manifest prefers, in time order. */
function cut(rows: Int32Array, batch: EventBatch, spec: PulsesSpec): Int32Array {
  const max = spec.max ?? rows.length
  if (spec.prefer === 'none') return cutClass(rows, max, batch, spec)
  if (spec.by === 'time') return cutEarliest(rows, max, batch.auxiliary)
  const { hlc, others } = byClass(rows, batch.auxiliary)
  if (hlc.length >= max) return cutClass(hlc, max, batch, spec)
  return merge(hlc, cutClass(others, max - hlc.length, batch, spec), batch.times)
}

/** Non-auxiliary pulses and the others, each in the order of `rows`. */
function byClass(rows: Int32Array, auxiliary: Uint8Array): { hlc: Int32Array; others: Int32Array } {
  const both = new Int32Array(rows.length)
  let [first, last] = [0, rows.length]
  for (const row of rows) {
    if (auxiliary[row] === 0) both[first++] = row
    else both[--last] = row
  }
  return { hlc: both.subarray(0, first), others: both.subarray(first).reverse() }
}

/** All of two lists that are in time order, in time order. */
function merge(a: Int32Array, b: Int32Array, times: Float32Array): Int32Array {
  const merged = new Int32Array(a.length + b.length)
  let [i, j] = [0, 0]
  for (let at = 0; at < merged.length; at++) {
    const isNextOfB = i === a.length || (j < b.length && isBefore(b[j], a[i], times))
    merged[at] = isNextOfB ? b[j++] : a[i++]
  }
  return merged
}

/** In time; ties in row order. */
function isBefore(row: number, other: number, times: Float32Array): boolean {
  const later = times[row] - times[other]
  return later < 0 || (later === 0 && row < other)
}

/** The earliest non-auxiliary pulses, filled up with the earliest auxiliary ones: in one pass, in place. */
function cutEarliest(rows: Int32Array, max: number, auxiliary: Uint8Array): Int32Array {
  let hlc = 0
  for (let i = 0; i < rows.length && hlc < max; i++) if (auxiliary[rows[i]] === 0) hlc++
  let others = max - hlc
  let taken = 0
  for (let i = 0; taken < max; i++) {
    const row = rows[i]
    if (auxiliary[row] === 0) {
      if (hlc-- > 0) rows[taken++] = row
    } else if (others-- > 0) rows[taken++] = row
  }
  return rows.subarray(0, max)
}

/** `count` pulses of one class, in time order. */
function cutClass(rows: Int32Array, count: number, batch: EventBatch, spec: PulsesSpec): Int32Array {
  if (count >= rows.length) return rows
  switch (spec.by) {
    case 'time':
      return rows.subarray(0, count)
    case 'charge':
      return sortByTime(sortByCharge(rows.slice(), batch.charges).subarray(0, count), batch.times)
    case 'spread':
      return spread(rows, count)
  }
}

/** `count` of the rows, as far apart as they can be, the first among them. */
function spread(rows: Int32Array, count: number): Int32Array {
  const chosen = new Int32Array(count)
  for (let i = 0; i < count; i++) chosen[i] = rows[Math.floor((i * rows.length) / count)]
  return chosen
}

/** In place; ties in row order. Events nearly always are in time order already. */
function sortByTime(rows: Int32Array, times: Float32Array): Int32Array {
  for (let i = 1; i < rows.length; i++) {
    if (isBefore(rows[i], rows[i - 1], times)) return rows.sort((a, b) => times[a] - times[b] || a - b)
  }
  return rows
}

function sortByCharge(rows: Int32Array, charges: Float32Array): Int32Array {
  return rows.sort((a, b) => charges[b] - charges[a] || a - b)
}
