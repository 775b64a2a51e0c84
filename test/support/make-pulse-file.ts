/** Writes the result of a query to a Parquet file, in a separate process so that its memory is released. */
import { writeQuery } from './pulse-files.ts'

const [path, sql, options] = process.argv.slice(2)
await writeQuery(path, sql, options)
