import { describe, expect, it } from 'vitest'
import { FlatTable, flatRoot } from './arrow-read.ts'

/** A root table with one field in slot 0, a vector that claims `length` elements and is followed by 8 bytes. */
function tableWithVector(length: number): FlatTable {
  const bytes = new Uint8Array(32)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 12, true) // the root table is at 12
  view.setUint16(4, 6, true) // its vtable, at 4, has 6 bytes
  view.setUint16(6, 8, true) // and the table 8
  view.setUint16(8, 4, true) // of which slot 0 is at 4
  view.setInt32(12, 12 - 4, true)
  view.setUint32(16, 4, true) // the vector is 4 bytes on, at 20
  view.setUint32(20, length, true)
  bytes.set([1, 2, 3, 4, 5, 6, 7, 8], 24)
  return flatRoot(bytes)
}

describe('FlatTable', () => {
  it('reads a vector that ends with the buffer', () => {
    expect(tableWithVector(2).lengthOf(0, 4)).toBe(2)
    expect(tableWithVector(8).string(0, 8)).toBe('\x01\x02\x03\x04\x05\x06\x07\x08')
  })

  it.each([3, 2 ** 31, 2 ** 32 - 1])(
    'refuses a vector of %d elements that would leave the buffer',
    (length) => {
      expect(() => tableWithVector(length).lengthOf(0, 4)).toThrow(RangeError)
    },
  )

  it('gives defaults for slots that are absent', () => {
    const table = tableWithVector(1)
    expect([table.uint8(1), table.int16(1), table.int32(7), table.int64(9)]).toEqual([0, 0, 0, 0])
    expect([table.table(1), table.string(1, 9), table.lengthOf(1, 4)]).toEqual([undefined, undefined, 0])
  })

  it('refuses to start outside the buffer', () => {
    expect(() => new FlatTable(new DataView(new ArrayBuffer(16)), 14)).toThrow(RangeError)
    expect(() => flatRoot(new Uint8Array(2))).toThrow(RangeError)
  })
})
