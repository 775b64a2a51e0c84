import type { Truth } from '../event/event-batch.ts'
import type { TruthTable } from '../formats/parquet/read-truth.ts'

/** Looks up the truth of events; NaN for one that the table does not have. Fastest when asked in the table's order. */
export function createTruthLookup(table: TruthTable): (eventIds: BigInt64Array) => Truth {
  let hint = 0
  const find = (id: bigint): number => {
    if (table.eventIds[hint] !== id) hint = binarySearch(table.eventIds, id)
    return table.eventIds[hint] === id ? hint++ : -1
  }
  return (eventIds) => {
    const azimuth = new Float64Array(eventIds.length)
    const zenith = new Float64Array(eventIds.length)
    const topology = table.topology && new Uint8Array(eventIds.length)
    for (const [i, id] of eventIds.entries()) {
      const at = find(id)
      azimuth[i] = at < 0 ? Number.NaN : table.azimuth[at]
      zenith[i] = at < 0 ? Number.NaN : table.zenith[at]
      if (topology && table.topology && at >= 0) topology[i] = table.topology[at]
    }
    return { azimuth, zenith, ...(topology && { topology }) }
  }
}

/** Index of the first id that is not below `id`. */
function binarySearch(ids: BigInt64Array, id: bigint): number {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ids[middle] < id) low = middle + 1
    else high = middle
  }
  return low
}
