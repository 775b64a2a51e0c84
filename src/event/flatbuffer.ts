/**
 * A table inside a flatbuffer, the form of Arrow's metadata. Every read stays inside the buffer and nothing is
 * allocated by what the bytes claim, so that on damaged bytes the worst is a RangeError. Fields are named by slot:
 * their place in the schema's declaration. Source: the FlatBuffers internals page, flatbuffers.dev.
 */
export class FlatTable {
  readonly #view: DataView
  readonly #start: number
  readonly #vtable: number
  readonly #vtableBytes: number

  constructor(view: DataView, start: number) {
    this.#view = view
    this.#start = start
    this.#vtable = start - view.getInt32(start, true)
    this.#vtableBytes = view.getUint16(this.#vtable, true)
  }

  uint8(slot: number): number {
    const at = this.#fieldAt(slot)
    return at === undefined ? 0 : this.#view.getUint8(at)
  }

  int16(slot: number): number {
    const at = this.#fieldAt(slot)
    return at === undefined ? 0 : this.#view.getInt16(at, true)
  }

  int32(slot: number): number {
    const at = this.#fieldAt(slot)
    return at === undefined ? 0 : this.#view.getInt32(at, true)
  }

  /** Rounded beyond 2^53: fit for lengths, which are checked against bytes at hand. */
  int64(slot: number): number {
    const at = this.#fieldAt(slot)
    return at === undefined ? 0 : Number(this.#view.getBigInt64(at, true))
  }

  table(slot: number): FlatTable | undefined {
    const at = this.#fieldAt(slot)
    return at === undefined ? undefined : new FlatTable(this.#view, at + this.#view.getUint32(at, true))
  }

  /** Undefined where the field is absent or longer than `bytesMax`. */
  string(slot: number, bytesMax: number): string | undefined {
    const vector = this.#vectorAt(slot, 1)
    if (vector === undefined || vector.length > bytesMax) return undefined
    const { buffer, byteOffset } = this.#view
    return new TextDecoder().decode(new Uint8Array(buffer, byteOffset + vector.first, vector.length))
  }

  /** Elements of a vector field; `strideBytes` is the size of one. */
  lengthOf(slot: number, strideBytes: number): number {
    return this.#vectorAt(slot, strideBytes)?.length ?? 0
  }

  /** Element of a vector of tables. */
  tableAt(slot: number, index: number): FlatTable {
    const at = this.#elementAt(slot, index, 4)
    return new FlatTable(this.#view, at + this.#view.getUint32(at, true))
  }

  /** Element of a vector of structs of two int64, as Arrow's field nodes and buffers are. */
  int64PairAt(slot: number, index: number): [number, number] {
    const at = this.#elementAt(slot, index, 16)
    return [Number(this.#view.getBigInt64(at, true)), Number(this.#view.getBigInt64(at + 8, true))]
  }

  #fieldAt(slot: number): number | undefined {
    const entry = 4 + 2 * slot
    if (entry + 2 > this.#vtableBytes) return undefined
    const offset = this.#view.getUint16(this.#vtable + entry, true)
    return offset === 0 ? undefined : this.#start + offset
  }

  #elementAt(slot: number, index: number, strideBytes: number): number {
    const vector = this.#vectorAt(slot, strideBytes)
    if (vector === undefined || index >= vector.length) {
      throw new RangeError(`element ${index} of ${vector?.length ?? 0}`)
    }
    return vector.first + index * strideBytes
  }

  #vectorAt(slot: number, strideBytes: number): { first: number; length: number } | undefined {
    const at = this.#fieldAt(slot)
    if (at === undefined) return undefined
    const head = at + this.#view.getUint32(at, true)
    const length = this.#view.getUint32(head, true)
    if (head + 4 + length * strideBytes > this.#view.byteLength) {
      throw new RangeError(`vector of ${length} elements leaves the buffer`)
    }
    return { first: head + 4, length }
  }
}

export function flatRoot(bytes: Uint8Array): FlatTable {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return new FlatTable(view, view.getUint32(0, true))
}
