import type { FlatTable } from './flatbuffer.ts'

/** A column, or the values inside a list column, as an Arrow schema declares it. */
export interface ArrowField {
  readonly name: string
  /** In short: `int64`, `list<uint16>`, `dictionary<utf8>`. */
  readonly type: string
  /** Buffers of its own in a record batch, without its children's; undefined for a layout that we do not know. */
  readonly buffers: number | undefined
  readonly children: readonly ArrowField[]
}

export interface ArrowSchema {
  readonly fields: readonly ArrowField[]
  /** Only keys that begin with `nustream.`; values over 4 kB are left out. */
  readonly metadata: ReadonlyMap<string, string>
}

/** No schema of ours nests or grows so far; damaged bytes can, endlessly. */
const FIELDS_MAX = 1000
const DEPTH_MAX = 8
const METADATA_MAX = 1000
const STRING_BYTES_MAX = 4096

/** Name and number of own buffers by number of the type in Arrow's `Schema.fbs` (Columnar.rst gives the layouts). */
const LAYOUTS: Readonly<Record<number, readonly [name: string, buffers: number]>> = {
  1: ['null', 0],
  2: ['int', 2],
  3: ['float', 2],
  4: ['binary', 3],
  5: ['utf8', 3],
  6: ['bool', 2],
  7: ['decimal', 2],
  8: ['date', 2],
  9: ['time', 2],
  10: ['timestamp', 2],
  11: ['interval', 2],
  12: ['list', 2],
  13: ['struct', 1],
  15: ['fixed_size_binary', 2],
  16: ['fixed_size_list', 1],
  17: ['map', 2],
  18: ['duration', 2],
  19: ['large_binary', 3],
  20: ['large_utf8', 3],
  21: ['large_list', 2],
}

/** @throws RangeError where the metadata points outside itself or nests without end */
export function readSchema(header: FlatTable): ArrowSchema {
  if (header.int16(0) !== 0) throw new RangeError('big-endian')
  const budget = { fields: FIELDS_MAX }
  return { fields: readFields(header, 1, budget, 0), metadata: readMetadata(header) }
}

function readFields(
  parent: FlatTable,
  slot: number,
  budget: { fields: number },
  depth: number,
): ArrowField[] {
  const count = parent.lengthOf(slot, 4)
  budget.fields -= count
  if (budget.fields < 0 || depth > DEPTH_MAX) {
    throw new RangeError(`more than ${FIELDS_MAX} fields or ${DEPTH_MAX} levels`)
  }
  return Array.from({ length: count }, (_, i) => readField(parent.tableAt(slot, i), budget, depth))
}

function readField(field: FlatTable, budget: { fields: number }, depth: number): ArrowField {
  const name = field.string(0, STRING_BYTES_MAX) ?? ''
  const children = readFields(field, 5, budget, depth + 1)
  const typeNumber = field.uint8(2)
  const layout = LAYOUTS[typeNumber]
  const type = typeName(layout?.[0] ?? `type number ${typeNumber}`, field.table(3), children)
  // The record batch holds indices in place of the values, without children.
  if (field.table(4)) return { name, type: `dictionary<${type}>`, buffers: 2, children: [] }
  return { name, type, buffers: layout?.[1], children }
}

function typeName(name: string, type: FlatTable | undefined, children: readonly ArrowField[]): string {
  if (name === 'int') return `${type?.uint8(1) ? '' : 'u'}int${type?.int32(0)}`
  if (name === 'float') return ['float16', 'float32', 'float64'][type?.int16(0) ?? 0] ?? 'float'
  if (name === 'timestamp') return `timestamp[${['s', 'ms', 'us', 'ns'][type?.int16(0) ?? 0]}]`
  return children.length === 0 ? name : `${name}<${children.map((child) => child.type).join(', ')}>`
}

function readMetadata(header: FlatTable): Map<string, string> {
  const metadata = new Map<string, string>()
  const count = header.lengthOf(2, 4)
  if (count > METADATA_MAX) throw new RangeError(`${count} entries of metadata; at most ${METADATA_MAX}`)
  for (let i = 0; i < count; i++) {
    const pair = header.tableAt(2, i)
    const key = pair.string(0, 64)
    if (!key?.startsWith('nustream.')) continue
    const value = pair.string(1, STRING_BYTES_MAX)
    if (value !== undefined) metadata.set(key, value)
  }
  return metadata
}
