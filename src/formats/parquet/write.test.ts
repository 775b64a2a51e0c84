import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDuckDb, queryRows } from './duckdb.ts'
import { openParquetWriter, type ParquetColumn, writeParquet } from './write.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nustream-write-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function query(sql: string): Promise<unknown[][]> {
  const db = await openDuckDb()
  const connection = await db.connect()
  try {
    return await queryRows(connection, sql)
  } finally {
    connection.closeSync()
    db.closeSync()
  }
}

const IDS: ParquetColumn[] = [{ name: 'id', type: 'int64', from: 'int32' }]

describe('writeParquet()', () => {
  it('stores each kind of column in its type', async () => {
    const path = join(folder, 'all.parquet')
    await writeParquet(path, [
      { name: 'event_id', type: 'int64', from: 'int64', values: BigInt64Array.of(2n ** 40n, -1n) },
      { name: 'sensor_id', type: 'int16', from: 'uint16', values: Uint16Array.of(0, 5159) },
      { name: 'time', type: 'int64', from: 'float32', values: Float32Array.of(9871, 17_242) },
      { name: 'charge', type: 'double', from: 'float64', values: Float64Array.of(1.075, 0.775) },
      { name: 'auxiliary', type: 'boolean', from: 'uint8', values: Uint8Array.of(1, 0) },
      {
        name: 'kappa',
        type: 'double',
        from: 'float64',
        nanIsNull: true,
        values: Float64Array.of(Number.NaN, 3),
      },
      { name: 'model', type: 'string', from: 'string', values: ['it’s "nano"', ''] },
    ])
    expect(await query(`SELECT * FROM read_parquet('${path}')`)).toEqual([
      [2n ** 40n, 0, 9871n, 1.075, true, null, 'it’s "nano"'],
      [-1n, 5159, 17_242n, 0.775, false, 3, ''],
    ])
    const types = await query(`SELECT column_type FROM (DESCRIBE SELECT * FROM read_parquet('${path}'))`)
    expect(types.flat()).toEqual(['BIGINT', 'SMALLINT', 'BIGINT', 'DOUBLE', 'BOOLEAN', 'DOUBLE', 'VARCHAR'])
  })

  it('keeps NaN where null was not asked for', async () => {
    const path = join(folder, 'nan.parquet')
    await writeParquet(path, [
      { name: 'x', type: 'double', from: 'float64', values: Float64Array.of(Number.NaN) },
    ])
    expect(await query(`SELECT isnan(x) FROM read_parquet('${path}')`)).toEqual([[true]])
  })

  it('writes a table without rows', async () => {
    const path = join(folder, 'empty.parquet')
    await writeParquet(path, [{ name: 'x', type: 'double', from: 'float64', values: new Float64Array(0) }])
    expect(await query(`SELECT count(*) FROM read_parquet('${path}')`)).toEqual([[0n]])
  })

  it('accepts a path with quotes and wildcards literally', async () => {
    const path = join(folder, "o'neil [1]*.parquet")
    await writeParquet(path, [{ ...IDS[0], values: Int32Array.of(1) }], { rowsInMemoryMax: 1 })
    expect(readdirSync(folder)).toEqual(["o'neil [1]*.parquet"])
  })

  it.each([
    {
      name: 'another kind of array',
      values: Float32Array.of(1),
      message: 'column id takes int32 values, not those of a Float32Array',
    },
    { name: 'values the type cannot hold', values: Int32Array.of(70_000), message: 'cannot be written' },
  ])('refuses $name and leaves no file', async ({ values, message }) => {
    const path = join(folder, 'bad.parquet')
    await expect(writeParquet(path, [{ name: 'id', type: 'int16', from: 'int32', values }])).rejects.toThrow(
      message,
    )
    expect(readdirSync(folder)).toEqual([])
  })

  it('refuses columns of different length, naming them', async () => {
    const columns = [
      { name: 'a', type: 'int32', from: 'int32', values: Int32Array.of(1, 2) },
      { name: 'b', type: 'int32', from: 'int32', values: Int32Array.of(1) },
    ] as const
    await expect(writeParquet(join(folder, 'x.parquet'), columns)).rejects.toThrow(
      'column b has 1 values where a has 2',
    )
  })
})

describe('ParquetWriter', () => {
  it('keeps the order of rows over parts, chunks and appends', async () => {
    const path = join(folder, 'parts.parquet')
    const rows = 50_000
    {
      await using writer = await openParquetWriter(path, IDS, { rowsInMemoryMax: 6000 })
      for (let from = 0; from < rows; from += 7001) {
        const count = Math.min(7001, rows - from)
        await writer.append([Int32Array.from({ length: count }, (_, i) => from + i)])
      }
      expect(writer.rows).toBe(rows)
      await writer.finish()
    }
    const [[count, ordered]] = await query(
      `SELECT count(*), bool_and(id = file_row_number) FROM read_parquet('${path}', file_row_number = true)`,
    )
    expect([count, ordered]).toEqual([BigInt(rows), true])
    expect(readdirSync(folder)).toEqual(['parts.parquet'])
  })

  it('shows nothing under its name before it is finished, and keeps what was there', async () => {
    const path = join(folder, 'late.parquet')
    writeFileSync(path, 'old')
    {
      await using writer = await openParquetWriter(path, IDS, { rowsInMemoryMax: 10 })
      await writer.append([Int32Array.from({ length: 100 }, (_, i) => i)])
      expect(existsSync(path)).toBe(true)
    }
    expect(readdirSync(folder)).toEqual(['late.parquet'])
  })

  it('says which file cannot be written', async () => {
    const path = join(folder, 'missing', 'x.parquet')
    await using writer = await openParquetWriter(path, IDS)
    await writer.append([Int32Array.of(1)])
    await expect(writer.finish()).rejects.toThrow(`${path} cannot be written`)
  })
})
