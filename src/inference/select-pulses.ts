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
  const hlc = rows.filter((row) => batch.auxiliary[row] === 0)
  if (hlc.length >= max) return cutClass(hlc, max, batch, spec)
  const rest = rows.filter((row) => batch.auxiliary[row] !== 0)
  const both = new Int32Array(max)
  both.set(hlc)
  both.set(cutClass(rest, max - hlc.length, batch, spec), hlc.length)
  return sortByTime(both, batch.times)
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
      return Int32Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)])
  }
}

/** In place; ties in row order. Events nearly always are in time order already. */
function sortByTime(rows: Int32Array, times: Float32Array): Int32Array {
  for (let i = 1; i < rows.length; i++) {
    const later = times[rows[i]] - times[rows[i - 1]]
    if (later < 0 || (later === 0 && rows[i] < rows[i - 1])) {
      return rows.sort((a, b) => times[a] - times[b] || a - b)
    }
  }
  return rows
}

function sortByCharge(rows: Int32Array, charges: Float32Array): Int32Array {
  return rows.sort((a, b) => charges[b] - charges[a] || a - b)
}
