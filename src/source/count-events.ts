import { openDuckDb } from '../formats/parquet/duckdb.ts'
import { countRows, readEventIds } from '../formats/parquet/read.ts'

/** Some seconds of reading event ids; beyond it a count is not worth its wait. */
const ROWS_MAX = 100_000_000

/** Events of the pulse files, or undefined where they are too large to be counted quickly. */
export async function countEvents(paths: readonly string[]): Promise<number | undefined> {
  const db = await openDuckDb()
  try {
    const rows: number[] = []
    let total = 0
    for (const path of paths) {
      rows.push(await countRows(db, path))
      total += rows[rows.length - 1]
      if (total > ROWS_MAX) return undefined
    }
    let events = 0
    for (const [i, path] of paths.entries()) {
      for await (const _id of readEventIds(db, path, rows[i])) events++
    }
    return events
  } finally {
    db.closeSync()
  }
}
