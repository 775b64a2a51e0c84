/** Writes what a query gives to a Parquet file, in a process of its own so that its memory is given back. */
import { writeQuery } from './pulse-files.ts'

const [path, sql, options] = process.argv.slice(2)
await writeQuery(path, sql, options)
