import { type EventBatch, eventCount, pulseCount } from '../../event/event-batch.ts'
import type { PulsesSpec } from '../model/manifest.ts'
import type { Run } from './features.ts'

/**
 * Writes the selected rows of one event to `into[at]` and following places, in the order of the tensor, and returns their
 * number. Needs room for all rows of the event: places behind the selected ones are overwritten too.
 */
export type SelectPulses = (batch: EventBatch, event: number, into: Int32Array, at: number) => number

/** The selection of a manifest (docs/models.md, `pulses`). Linear in the number of pulses, except where it must sort. */
export function buildSelectPulses(spec: PulsesSpec): SelectPulses {
  return (batch, event, into, at) => {
    const kept = keep(batch, event, spec, { into, at })
    const isCut = spec.max !== null && kept > spec.max
    if ((isCut || spec.order === 'time') && !isInTime(into, at, at + kept, batch.times)) {
      sortByTime(into.subarray(at, at + kept), batch.times)
    }
    const chosen = isCut ? cut(into.subarray(at, at + kept), batch, spec) : kept
    if (spec.order === 'charge') sortByCharge(into.subarray(at, at + chosen), batch.charges)
    if (spec.order === 'as-given' && isCut) into.subarray(at, at + chosen).sort()
    return chosen
  }
}

/** Upper bound of the pulses that `buildSelectPulses` takes from an event of `pulses` rows. */
export function selectedAtMost(spec: PulsesSpec, pulses: number): number {
  return spec.max === null ? pulses : Math.min(pulses, spec.max)
}

/** All events of a batch as one run. */
export function wholeRun(batch: EventBatch, spec: PulsesSpec): Run {
  const select = buildSelectPulses(spec)
  const events = Int32Array.from({ length: eventCount(batch) }, (_, event) => event)
  const starts = new Int32Array(events.length + 1)
  const rows = new Int32Array(pulseCount(batch))
  for (const event of events) starts[event + 1] = starts[event] + select(batch, event, rows, starts[event])
  return { batch, events, starts, rows: rows.subarray(0, starts[events.length]) }
}

/** Rows of an event before any cut. */
function keep(
  { offsets, auxiliary }: EventBatch,
  event: number,
  spec: PulsesSpec,
  { into, at }: { into: Int32Array; at: number },
): number {
  const from = offsets[event]
  const to = offsets[event + 1]
  if (spec.keep === 'hlc') {
    let out = at
    for (let row = from; row < to; row++) if (auxiliary[row] === 0) into[out++] = row
    if (out - at >= spec.hlcMin) return out - at
  }
  for (let row = from, out = at; row < to; row++, out++) into[out] = row
  return to - from
}

/** Moves the `max` rows that the manifest prefers to the front, in time order. `rows`, in time order, are more. */
function cut(rows: Int32Array, batch: EventBatch, spec: PulsesSpec): number {
  const max = spec.max ?? rows.length
  const { prefer, by } = spec
  if (by !== 'charge') return thin(rows, max, batch.auxiliary, { prefer, isSpread: by === 'spread' })
  sortByCharge(rows, batch.charges)
  // The brightest are the first ones now.
  if (prefer === 'hlc') thin(rows, max, batch.auxiliary, { prefer: 'hlc', isSpread: false })
  sortByTime(rows.subarray(0, max), batch.times)
  return max
}

/**
 * Takes `max` rows to the front, in the order in which they are: as many of the preferred class as there are. Of a class
 * evenly spread ones, or the first.
 */
function thin(
  rows: Int32Array,
  max: number,
  auxiliary: Uint8Array,
  { prefer, isSpread }: Pick<PulsesSpec, 'prefer'> & { isSpread: boolean },
): number {
  const lastPreferred = prefer === 'hlc' ? 0 : 1
  let all = 0
  for (let i = 0; i < rows.length; i++) if (auxiliary[rows[i]] <= lastPreferred) all++
  const preferred = new Share(all, Math.min(all, max), isSpread)
  const others = new Share(rows.length - all, max - preferred.wanted, isSpread)
  let taken = 0
  for (let i = 0; taken < max; i++) {
    const row = rows[i]
    const share = auxiliary[row] <= lastPreferred ? preferred : others
    if (share.takesNext()) rows[taken++] = row
  }
  return max
}

/** Which of the rows of one class are taken: the first ones, or as many spread evenly, the first among them. */
class Share {
  readonly wanted: number
  readonly #all: number
  readonly #isSpread: boolean
  #seen = 0
  #taken = 0
  #next = 0

  constructor(all: number, wanted: number, isSpread: boolean) {
    this.wanted = wanted
    this.#all = all
    this.#isSpread = isSpread
  }

  takesNext(): boolean {
    if (this.#seen++ < this.#next || this.#taken === this.wanted) return false
    this.#taken++
    this.#next = this.#isSpread ? Math.floor((this.#taken * this.#all) / this.wanted) : this.#taken
    return true
  }
}

/** Events nearly always are in time order already; ties are in row order. */
function isInTime(rows: Int32Array, from: number, to: number, times: Float32Array): boolean {
  for (let i = from + 1; i < to; i++) {
    const later = times[rows[i]] - times[rows[i - 1]]
    if (later < 0 || (later === 0 && rows[i] < rows[i - 1])) return false
  }
  return true
}

function sortByTime(rows: Int32Array, times: Float32Array): void {
  rows.sort((a, b) => times[a] - times[b] || a - b)
}

/** Ties in row order. */
function sortByCharge(rows: Int32Array, charges: Float32Array): void {
  rows.sort((a, b) => charges[b] - charges[a] || a - b)
}
