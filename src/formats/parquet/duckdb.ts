import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'

/** What src/formats/parquet opens; to all others a thing to hand back. */
export type DuckDb = DuckDBInstance

export interface DuckDbOptions {
  /** DuckDB's own buffers at most, MB. What it cannot hold is an error, never a spill to disk. */
  readonly memoryLimitMb?: number
}

/**
 * A DuckDB with nothing in it, for reading or writing files: one thread (a second gains nothing on one file), rows kept
 * in their order, nothing loaded from the network, nothing spilt to disk. Close it with `closeSync`.
 */
export async function openDuckDb(options: DuckDbOptions = {}): Promise<DuckDb> {
  return DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: `${options.memoryLimitMb ?? 1024}MB`,
    temp_directory: '',
    preserve_insertion_order: 'true',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    enable_external_file_cache: 'false',
  })
}

/** Rows of a query that gives few of them, as arrays of plain values. */
export async function queryRows(
  connection: DuckDBConnection,
  sql: string,
  values: (string | number)[] = [],
): Promise<unknown[][]> {
  const reader = await connection.runAndReadAll(sql, values)
  return reader.getRows()
}

/** DuckDB takes `*`, `?` and `[` in a path for wildcards; in brackets each stands for itself. */
export function toLiteralPath(path: string): string {
  return path.replace(/[*?[]/g, (character) => `[${character}]`)
}

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** The first line of an error's message: DuckDB repeats the query below it. */
export function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.split('\n', 1)[0]
}
