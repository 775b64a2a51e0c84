import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import {
  BIGINT,
  DOUBLE,
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBDataChunk,
  type DuckDBInstance,
  type DuckDBType,
  FLOAT,
  INTEGER,
  USMALLINT,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api'
import { firstLine, openDuckDb, queryRows, quoteIdentifier, quoteText, toLiteralPath } from './duckdb.ts'

/** What a column's values come in. */
export type ColumnArray =
  | BigInt64Array
  | Int32Array
  | Uint16Array
  | Uint8Array
  | Float32Array
  | Float64Array
  | readonly string[]

export interface ParquetColumn {
  readonly name: string
  /**
   * Type in the file. Values that it cannot hold are an error when the rows are written. A timestamp arrives as Unix
   * milliseconds (`float64`) and is stored in UTC.
   */
  readonly type: 'int64' | 'int32' | 'int16' | 'double' | 'float' | 'boolean' | 'string' | 'timestamp'
  /** Kind of array that `append` is given for this column. */
  readonly from: 'int64' | 'int32' | 'uint16' | 'uint8' | 'float32' | 'float64' | 'string'
  /** Floating point only: store NaN as null. */
  readonly nanIsNull?: boolean
}

export interface ParquetWriterOptions {
  /** Rows held in memory at most; more go to part files beside the file, joined at the end. */
  readonly rowsInMemoryMax?: number
  readonly compression?: 'snappy' | 'zstd' | 'uncompressed'
}

const SQL_TYPES = {
  int64: 'BIGINT',
  int32: 'INTEGER',
  int16: 'SMALLINT',
  double: 'DOUBLE',
  float: 'FLOAT',
  boolean: 'BOOLEAN',
  string: 'VARCHAR',
} as const

const ARRIVAL_TYPES: Record<ParquetColumn['from'], DuckDBType> = {
  int64: BIGINT,
  int32: INTEGER,
  uint16: USMALLINT,
  uint8: UTINYINT,
  float32: FLOAT,
  float64: DOUBLE,
  string: VARCHAR,
}

const ARRAYS: Record<ParquetColumn['from'], unknown> = {
  int64: BigInt64Array,
  int32: Int32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  float32: Float32Array,
  float64: Float64Array,
  string: Array,
}

interface RawVector {
  readonly items: { set(values: ArrayLike<unknown>): void }
  flush(): void
}

/** Most rows of a DuckDB chunk. */
const CHUNK_ROWS = 2048

/** Writes a small table in one go; see `ParquetWriter`. All columns have the same length. */
export async function writeParquet(
  path: string,
  columns: readonly (ParquetColumn & { readonly values: ColumnArray })[],
  options: ParquetWriterOptions = {},
): Promise<void> {
  await using writer = await openParquetWriter(path, columns, options)
  await writer.append(columns.map(({ values }) => values))
  await writer.finish()
}

/** The file system takes no more: its disk is full, say. */
export class UnwritableError extends Error {
  override get name(): string {
    return 'UnwritableError'
  }
}

/**
 * Opens a file for writing. It appears under `path` whole when `finish` has returned, replacing what was there; disposing
 * of the writer before that leaves no trace.
 */
export async function openParquetWriter(
  path: string,
  columns: readonly ParquetColumn[],
  options: ParquetWriterOptions = {},
): Promise<ParquetWriter> {
  const db = await openDuckDb({ memoryLimitMb: 1024 })
  return new ParquetWriter({ db, connection: await db.connect(), path, columns, options })
}

/**
 * A Parquet file in the making, rows in the order they are appended, memory bounded whatever their number. Calls must not
 * overlap. After an error only disposing makes sense.
 */
export class ParquetWriter implements AsyncDisposable {
  /** Rows appended so far. */
  rows = 0
  readonly path: string
  readonly #db: DuckDBInstance
  readonly #connection: DuckDBConnection
  readonly #columns: readonly ParquetColumn[]
  readonly #rowsInMemoryMax: number
  readonly #compression: string
  readonly #temporary: string
  readonly #parts: string[] = []
  readonly #chunk: DuckDBDataChunk
  #appender: DuckDBAppender | undefined
  #rowsInMemory = 0

  constructor(parts: {
    db: DuckDBInstance
    connection: DuckDBConnection
    path: string
    columns: readonly ParquetColumn[]
    options: ParquetWriterOptions
  }) {
    this.path = parts.path
    this.#db = parts.db
    this.#connection = parts.connection
    this.#columns = parts.columns
    this.#rowsInMemoryMax = parts.options.rowsInMemoryMax ?? 1_000_000
    this.#compression = parts.options.compression ?? 'snappy'
    this.#temporary = `${parts.path}.${randomUUID()}.tmp`
    this.#chunk = DuckDBDataChunk.create(parts.columns.map(({ from }) => ARRIVAL_TYPES[from]))
  }

  /** One array for each column, all of the same length, in the kind that the column says; copied before this returns. */
  async append(values: readonly ColumnArray[]): Promise<void> {
    const rows = this.#countRows(values)
    for (let from = 0; from < rows; from += CHUNK_ROWS) {
      const to = Math.min(rows, from + CHUNK_ROWS)
      this.#appender ??= await this.#openTable()
      this.#chunk.rowCount = to - from
      for (const [i, array] of values.entries()) this.#fill(i, array, from, to)
      this.#appender.appendDataChunk(this.#chunk)
      this.#rowsInMemory += to - from
      if (this.#rowsInMemory >= this.#rowsInMemoryMax) await this.#writePart()
    }
    this.rows += rows
  }

  /** Makes the file whole, safe on disk, and visible. */
  async finish(): Promise<void> {
    if (this.#rowsInMemory > 0 || this.#parts.length === 0) await this.#writePart()
    if (this.#parts.length === 1) {
      await rename(this.#parts[0], this.#temporary)
      this.#parts.length = 0
    } else {
      const parts = this.#parts.map((part) => quoteText(toLiteralPath(part))).join(', ')
      await this.#copy(`SELECT * FROM read_parquet([${parts}])`, this.#temporary)
    }
    await syncFile(this.#temporary)
    await rename(this.#temporary, this.path)
    await this.#removeParts()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#appender?.closeSync()
    this.#appender = undefined
    this.#connection.closeSync()
    this.#db.closeSync()
    await this.#removeParts()
    await rm(this.#temporary, { force: true })
  }

  #countRows(values: readonly ColumnArray[]): number {
    if (values.length !== this.#columns.length) {
      throw new Error(`${values.length} arrays given for ${this.#columns.length} columns of ${this.path}`)
    }
    const rows = values[0]?.length ?? 0
    const odd = values.findIndex((array) => array.length !== rows)
    if (odd > 0) {
      const { name } = this.#columns[odd]
      throw new Error(
        `column ${name} has ${values[odd].length} values where ${this.#columns[0].name} has ${rows}`,
      )
    }
    return rows
  }

  async #openTable(): Promise<DuckDBAppender> {
    const columns = this.#columns.map(({ name, from }) => `${quoteIdentifier(name)} ${ARRIVAL_TYPES[from]}`)
    await this.#connection.run(`CREATE OR REPLACE TABLE rows (${columns.join(', ')})`)
    return this.#connection.createAppender('rows')
  }

  /** Fills a column of the chunk with the values `from` to `to` (exclusive). */
  #fill(index: number, array: ColumnArray, from: number, to: number): void {
    const { name, from: kind } = this.#columns[index]
    if (ARRAYS[kind] !== array.constructor) {
      throw new Error(`column ${name} takes ${kind} values, not those of a ${array.constructor.name}`)
    }
    if (Array.isArray(array)) {
      this.#chunk.setColumnValues(index, array.slice(from, to))
      return
    }
    // The vectors' own setters take one value each; their typed array is private in the types only.
    const vector = this.#chunk.getColumnVector(index) as unknown as RawVector
    vector.items.set(array.slice(from, to))
    vector.flush()
  }

  async #writePart(): Promise<void> {
    this.#appender ??= await this.#openTable()
    this.#appender.closeSync()
    this.#appender = undefined
    const part = `${this.#temporary}-${this.#parts.length}`
    this.#parts.push(part)
    const columns = this.#columns.map(({ name, type, nanIsNull }) => {
      const value = quoteIdentifier(name)
      const stored = nanIsNull ? `CASE WHEN isnan(${value}) THEN NULL ELSE ${value} END` : value
      if (type === 'timestamp') return `to_timestamp(${stored} / 1000) AS ${value}`
      return `CAST(${stored} AS ${SQL_TYPES[type]}) AS ${value}`
    })
    await this.#copy(`SELECT ${columns.join(', ')} FROM rows`, part)
    await this.#connection.run('DROP TABLE rows')
    this.#rowsInMemory = 0
  }

  async #copy(query: string, to: string): Promise<void> {
    try {
      const options = `FORMAT parquet, COMPRESSION ${this.#compression}`
      await queryRows(this.#connection, `COPY (${query}) TO ${quoteText(to)} (${options})`)
    } catch (error) {
      throw new UnwritableError(`${this.path} cannot be written: ${firstLine(error)}`, { cause: error })
    }
  }

  async #removeParts(): Promise<void> {
    for (const part of this.#parts.splice(0)) await rm(part, { force: true })
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
