import type { EventBatch } from '../../event/event-batch.ts'
import type { ColumnName } from './columns.ts'

/** Raw value of a column of scope *event*. */
export function rawEventColumn(column: ColumnName): (batch: EventBatch, event: number) => number {
  switch (column) {
    case 'pulseCount':
      return ({ offsets }, event) => offsets[event + 1] - offsets[event]
    case 'hlcCount':
      return hlcCount
    case 'totalCharge':
      return totalCharge
    default:
      throw new Error(`column ${column} is not a value of the whole event`)
  }
}

function hlcCount({ offsets, auxiliary }: EventBatch, event: number): number {
  let count = 0
  for (let row = offsets[event]; row < offsets[event + 1]; row++) if (auxiliary[row] === 0) count++
  return count
}

function totalCharge({ offsets, charges }: EventBatch, event: number): number {
  let sum = 0
  for (let row = offsets[event]; row < offsets[event + 1]; row++) sum += charges[row]
  return sum
}

/** Time of the earliest pulse, ns. */
export function firstTime({ offsets, times }: EventBatch, event: number): number {
  let first = Number.POSITIVE_INFINITY
  for (let row = offsets[event]; row < offsets[event + 1]; row++) first = Math.min(first, times[row])
  return first
}

/** Time of the earliest non-auxiliary pulse, ns; of the earliest of all where there is none. */
export function firstHlcTime(batch: EventBatch, event: number): number {
  const { offsets, times, auxiliary } = batch
  let first = Number.POSITIVE_INFINITY
  for (let row = offsets[event]; row < offsets[event + 1]; row++) {
    if (auxiliary[row] === 0) first = Math.min(first, times[row])
  }
  return Number.isFinite(first) ? first : firstTime(batch, event)
}
