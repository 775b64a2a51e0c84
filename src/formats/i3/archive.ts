import { FormatError } from '../format-error.ts'

/** What the reader remembers of a class once its preamble has been read. */
interface SeenClass {
  readonly isTracked: boolean
  readonly version: number
}

/** Elements that one collection may claim to have. */
const ELEMENTS_MAX = 4_194_304
const LONG = 0xffff_ffff

/**
 * Reads a blob of IceTray's portable binary archive: Boost serialization with fixed-width little-endian numbers and no
 * header (icecube/icetray-public, serialization/private/serialization/basic_iarchive.cpp).
 *
 * The first object of a class in a blob is preceded by a preamble, which holds a tracking flag and a version. Every object
 * of a tracked class begins with an id; ids count up from 0.
 * @throws FormatError for a blob that ends early, claims more than it holds, or refers back to an object
 */
export class Archive {
  readonly bytes: Uint8Array
  readonly #view: DataView
  readonly #classes = new Map<string, SeenClass>()
  #at: number
  #objects = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = 0
  }

  /** Offset of the next byte. */
  get at(): number {
    return this.#at
  }

  get remaining(): number {
    return this.bytes.length - this.#at
  }

  u8(): number {
    return this.bytes[this.#take(1)]
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  i16(): number {
    return this.#view.getInt16(this.#take(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true)
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true)
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  f32(): number {
    return this.#view.getFloat32(this.#take(4), true)
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  /** The next bytes as a view. */
  take(length: number): Uint8Array {
    const from = this.#take(length)
    return this.bytes.subarray(from, from + length)
  }

  string(): string {
    return Buffer.from(this.take(this.#length(1))).toString('utf8')
  }

  /** Elements of a collection, each of at least `bytesEach` bytes in the blob. */
  count(bytesEach: number): number {
    const count = this.#length(bytesEach)
    if (count > ELEMENTS_MAX)
      throw new FormatError(`a collection of ${count} elements exceeds ${ELEMENTS_MAX}`)
    return count
  }

  /** Begins an object of a class that has no base in the frame: reads its preamble and id where they stand; returns the version. */
  begin(name: string): number {
    const seen = this.#classes.get(name) ?? this.#preamble(name)
    if (seen.isTracked) this.#object()
    return seen.version
  }

  /** Begins a class that derives from I3FrameObject, and its base; returns the version. */
  beginFrameObject(name: string): number {
    const version = this.begin(name)
    this.begin('I3FrameObject')
    return version
  }

  /**
   * Begins the blob of a frame entry: a shared pointer to an object that derives from I3FrameObject.
   * @returns its class and version; class undefined for a null pointer
   */
  beginEntry(): { readonly name: string | undefined; readonly version: number } {
    this.begin('shared_ptr')
    if (this.i16() === -1) return { name: undefined, version: 0 }
    const name = this.string()
    return { name, version: this.beginFrameObject(name) }
  }

  #preamble(name: string): SeenClass {
    const isTracked = this.u8() === 1
    const version = this.u8()
    // Classes of a version of 255 or more do not occur in IceTray.
    if (version === 255) throw new FormatError(`class ${name} has a version above 254`)
    const seen = { isTracked, version }
    this.#classes.set(name, seen)
    return seen
  }

  #object(): void {
    const id = this.u32()
    if (id !== this.#objects)
      throw new FormatError(`object ${id} refers back; expected object ${this.#objects}`)
    this.#objects++
  }

  #length(bytesEach: number): number {
    let length = this.u32()
    if (length === LONG) {
      const long = this.u64()
      if (long > BigInt(this.remaining)) throw this.#tooLong(Number(long), bytesEach)
      length = Number(long)
    }
    if (length * bytesEach > this.remaining) throw this.#tooLong(length, bytesEach)
    return length
  }

  #tooLong(length: number, bytesEach: number): FormatError {
    return new FormatError(
      `${length} elements of at least ${bytesEach} bytes exceed the ${this.remaining} bytes left`,
    )
  }

  #take(length: number): number {
    const from = this.#at
    if (length > this.bytes.length - from)
      throw new FormatError(`${length} bytes wanted at ${from}, ${this.bytes.length - from} left`)
    this.#at = from + length
    return from
  }
}
