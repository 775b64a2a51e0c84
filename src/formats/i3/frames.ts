import { FormatError } from '../format-error.ts'

/** One entry of a frame: the name of its C++ class as the compiler spelt it, and its blob. */
export interface FrameEntry {
  readonly type: string
  readonly blob: Uint8Array
}

/** One frame as it stands in the file, without what it inherits. Nothing of it is decoded, or checked, until it is asked for. */
export class Frame {
  /** `Q` DAQ event, `P` physics event, `G` geometry, `C`, `D`, `S`, `I` and others. */
  readonly stream: string
  readonly #bytes: Uint8Array
  readonly #scan: Scan
  readonly #offset: number
  #entries: Map<string, FrameEntry> | undefined

  constructor(bytes: Uint8Array, scan: Scan, offset: number) {
    this.stream = String.fromCharCode(scan.stream)
    this.#bytes = bytes
    this.#scan = scan
    this.#offset = offset
  }

  /** By key. @throws FormatError where the checksum is wrong */
  get entries(): ReadonlyMap<string, FrameEntry> {
    if (this.#entries) return this.#entries
    checkSum(this.#bytes, this.#scan, this.#offset)
    const text = ([from, to]: Span) => TEXT.decode(this.#bytes.subarray(from, to))
    this.#entries = new Map(
      this.#scan.slots.map(({ key, type, blob: [from, to] }) => [
        text(key),
        { type: text(type), blob: this.#bytes.subarray(from, to) },
      ]),
    )
    return this.#entries
  }
}

const TEXT = new TextDecoder()

const TAG = [0x5b, 0x69, 0x33, 0x5d] // [i3]
const ENTRIES_MAX = 100_000
/** The largest frame that is read: the pulses of the largest event, with all its series, are far smaller. */
export const FRAME_BYTES_MAX = 512 * 1024 * 1024
const LONG = 0xffff_ffff

/**
 * Splits a file into frames (icecube/icetray-public, icetray/private/icetray/I3Frame.cxx; versions 4 to 6).
 * @param chunks the file's bytes, decompressed, in pieces of any size
 * @throws FormatError at the first frame that is broken, after those before it
 */
export async function* readFrames(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Frame> {
  let held: Uint8Array = new Uint8Array(0)
  let offset = 0
  let wanted = 1
  for await (const chunk of chunks) {
    held = held.length === 0 ? chunk : join(held, chunk)
    let at = 0
    while (held.length - at >= wanted) {
      const scan = scanFrame(held.subarray(at), offset + at)
      if ('more' in scan) {
        wanted = scan.more
        if (wanted > FRAME_BYTES_MAX)
          throw new FormatError(`the frame at byte ${offset + at} is larger than ${FRAME_BYTES_MAX} bytes`)
        continue
      }
      yield new Frame(held.subarray(at, at + scan.length), scan, offset + at)
      at += scan.length
      wanted = 1
    }
    held = held.subarray(at)
    offset += at
  }
  if (held.length > 0) throw new FormatError(`the file ends within the frame at byte ${offset}`)
}

/** The frames of bytes that are whole. */
export function* framesOf(bytes: Uint8Array): Generator<Frame> {
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at)
    const scan = scanFrame(rest, at)
    if ('more' in scan) throw new FormatError(`the file ends within the frame at byte ${at}`)
    yield new Frame(rest.subarray(0, scan.length), scan, at)
    at += scan.length
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

type Span = readonly [from: number, to: number]

interface Slot {
  readonly key: Span
  readonly type: Span
  readonly blob: Span
}

interface Scan {
  readonly version: number
  readonly stream: number
  readonly slots: readonly Slot[]
  /** Offset of the checksum in the frame. */
  readonly checksumAt: number
  readonly length: number
}

/** Where the parts of the frame at the start of `bytes` lie; `more`: bytes that must be there to go on. */
function scanFrame(bytes: Uint8Array, offset: number): Scan | { readonly more: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  let missing = 0
  const has = (length: number): boolean => {
    if (at + length <= bytes.length) return true
    missing = at + length
    return false
  }
  const span = (): Span | undefined => {
    if (!has(4)) return undefined
    let length = view.getUint32(at, true)
    let header = 4
    if (length === LONG) {
      if (!has(12)) return undefined
      const long = view.getBigUint64(at + 4, true)
      if (long > BigInt(FRAME_BYTES_MAX))
        throw new FormatError(`an entry of the frame at byte ${offset} claims ${long} bytes`)
      length = Number(long)
      header = 12
    }
    if (!has(header + length)) return undefined
    const from = at + header
    at = from + length
    return [from, at]
  }
  for (const [i, byte] of TAG.entries()) {
    if (i < bytes.length && bytes[i] !== byte)
      throw new FormatError(`no I3 frame begins at byte ${offset}: expected the tag [i3]`)
  }
  if (!has(15)) return { more: missing }
  const version = view.getUint32(4, true)
  if (version < 4 || version > 6)
    throw new FormatError(`the frame at byte ${offset} has version ${version}; versions 4 to 6 are read`)
  at = 8
  if (version === 4) {
    if (!has(12 + 3 + 4)) return { more: missing }
    at += 12
  }
  const stream = bytes[at + 2]
  at += 3
  if (version === 4) {
    if (view.getUint32(at, true) !== 0)
      throw new FormatError(`the frame at byte ${offset} has a history, which is not read`)
    at += 4
  }
  if (!has(4)) return { more: missing }
  const count = view.getUint32(at, true)
  if (count > ENTRIES_MAX)
    throw new FormatError(
      `the frame at byte ${offset} claims ${count} entries; at most ${ENTRIES_MAX} are read`,
    )
  at += 4
  const slots: Slot[] = []
  for (let i = 0; i < count; i++) {
    const key = span()
    const type = key && span()
    const blob = type && span()
    if (!blob) return { more: missing }
    slots.push({ key, type, blob })
  }
  const checksumBytes = version === 4 ? 0 : 4
  if (!has(checksumBytes)) return { more: missing }
  return { version, stream, slots, checksumAt: at, length: at + checksumBytes }
}

function checkSum(bytes: Uint8Array, { version, checksumAt }: Scan, offset: number): void {
  if (version < 5) return
  const stored = new DataView(bytes.buffer, bytes.byteOffset).getUint32(checksumAt, true)
  const covered = bytes.subarray(COVERED_FROM, checksumAt)
  if (stored !== (version === 6 ? crc32c(covered) : crc16(covered)))
    throw new FormatError(`the checksum of the frame at byte ${offset} is wrong: the file is damaged`)
}

/** Tag, version and the preamble of the stream come before. */
const COVERED_FROM = 10

/** Eight tables, so that a step takes eight bytes. */
const CRC_TABLES = crcTables(0x82f6_3b78)

function crcTables(polynomial: number): readonly Int32Array[] {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256))
  for (let i = 0; i < 256; i++) {
    let value = i
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1
    tables[0][i] = value
  }
  for (let t = 1; t < 8; t++)
    for (let i = 0; i < 256; i++) tables[t][i] = (tables[t - 1][i] >>> 8) ^ tables[0][tables[t - 1][i] & 255]
  return tables
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = CRC_TABLES

/** The polynomial of CRC-32C, but begun with 0 and not inverted at the end. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0
  let i = 0
  const { length } = bytes
  // Words are read as such where they are aligned, which is twice as fast as byte by byte.
  for (; i < length && ((bytes.byteOffset + i) & 3) !== 0; i++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[i]) & 255]
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + i, (length - i) >> 2)
  const pairs = words.length & ~1
  for (let w = 0; w < pairs; w += 2) {
    const low = crc ^ words[w]
    const high = words[w + 1]
    crc =
      T7[low & 255] ^
      T6[(low >>> 8) & 255] ^
      T5[(low >>> 16) & 255] ^
      T4[low >>> 24] ^
      T3[high & 255] ^
      T2[(high >>> 8) & 255] ^
      T1[(high >>> 16) & 255] ^
      T0[high >>> 24]
  }
  for (i += 4 * pairs; i < length; i++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[i]) & 255]
  return crc >>> 0
}

/** CRC-16-CCITT, most significant bit first, begun with 0xffff. */
function crc16(bytes: Uint8Array): number {
  let crc = 0xffff
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++)
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc
}

/** Kinds of frames, each of which inherits the entries of the last frame of each kind before it. */
const KINDS = 'SGCDQP'

/** A frame with all that it inherits from the frames before it. */
export interface WholeFrame {
  readonly stream: string
  /** The frame's own entry, or that of the nearest earlier kind of frame. */
  entry(key: string): FrameEntry | undefined
  /** The entry of the DAQ frame itself, which a physics frame may shadow. */
  ofDaq(key: string): FrameEntry | undefined
  /** Keys of the frame and of what it inherits. */
  keys(): string[]
}

/** Follows the frames of a file and gives each what it inherits. */
export class Inheritance {
  readonly #last = new Map<string, Frame>()

  add(frame: Frame): WholeFrame {
    const kind = KINDS.indexOf(frame.stream)
    this.#last.set(frame.stream, frame)
    const earlier = [...KINDS.slice(0, Math.max(0, kind))].reverse()
    const chain = [frame, ...earlier.flatMap((stream) => this.#last.get(stream) ?? [])]
    const daq = this.#last.get('Q')
    return {
      stream: frame.stream,
      entry: (key) => chain.find(({ entries }) => entries.has(key))?.entries.get(key),
      ofDaq: (key) => daq?.entries.get(key),
      keys: () => [...new Set(chain.flatMap(({ entries }) => [...entries.keys()]))],
    }
  }
}
