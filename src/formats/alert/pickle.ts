import { FormatError } from '../format-error.ts'

/** What a pickle of plain values can hold, as far as IceCube's messages need it. */
export type Plain =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | Plain[]
  | { readonly [key: string]: Plain }

/** Values that one pickle may make. */
const VALUES_MAX = 4_000_000

/** Opcodes of protocol 2 and of the short forms of later protocols, by their byte. */
const OP = {
  mark: 0x28, // (
  emptyTuple: 0x29, // )
  stop: 0x2e, // .
  binFloat: 0x47, // G
  binInt: 0x4a, // J
  binInt1: 0x4b, // K
  binInt2: 0x4d, // M
  none: 0x4e, // N
  reduce: 0x52, // R
  binString: 0x54, // T
  shortBinString: 0x55, // U
  binUnicode: 0x58, // X
  binBytes: 0x42, // B
  shortBinBytes: 0x43, // C
  emptyList: 0x5d, // ]
  append: 0x61, // a
  build: 0x62, // b
  global: 0x63, // c
  appends: 0x65, // e
  binGet: 0x68, // h
  longBinGet: 0x6a, // j
  binPut: 0x71, // q
  longBinPut: 0x72, // r
  setItem: 0x73, // s
  tuple: 0x74, // t
  setItems: 0x75, // u
  emptyDict: 0x7d, // }
  protocol: 0x80,
  tuple1: 0x85,
  tuple2: 0x86,
  tuple3: 0x87,
  newTrue: 0x88,
  newFalse: 0x89,
} as const

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get at(): number {
    return this.#at
  }

  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at)
      throw new FormatError(`the pickle ends early: ${length} bytes wanted at ${this.#at}`)
    const from = this.#at
    this.#at += length
    return this.#bytes.subarray(from, from + length)
  }

  u8(): number {
    return this.take(1)[0]
  }

  u16(): number {
    const [low, high] = this.take(2)
    return low | (high << 8)
  }

  u32(): number {
    const from = this.#at
    this.take(4)
    return this.#view.getUint32(from, true)
  }

  f64(): number {
    const from = this.#at
    this.take(8)
    return this.#view.getFloat64(from)
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at)
    if (end < 0) throw new FormatError('the pickle ends within a name')
    const line = this.take(end - this.#at)
    this.take(1)
    return Buffer.from(line).toString('latin1')
  }
}

/**
 * The longest string of a pickle, as bytes. Nothing of the pickle is carried out: opcodes are stepped over, and one that is
 * not on the list of those that IceCube's frames use is refused.
 *
 * A frame that Python 2 wrote is a byte string. One that Python 3 wrote is text whose code points 0 to 255 are the bytes.
 * @throws FormatError for any other opcode, and for text with higher code points
 */
export function longestString(bytes: Uint8Array): Uint8Array {
  const reader = new Reader(bytes)
  let longest = new Uint8Array(0)
  let isText = false
  const found = (string: Uint8Array, isUnicode: boolean) => {
    if (string.length < longest.length) return
    longest = Uint8Array.from(string)
    isText = isUnicode
  }
  for (;;) {
    const op = reader.u8()
    switch (op) {
      case OP.stop:
        return isText ? latin1Bytes(longest) : longest
      case OP.protocol:
      case OP.binPut:
      case OP.binGet:
        reader.u8()
        break
      case OP.longBinPut:
      case OP.longBinGet:
        reader.u32()
        break
      case OP.global:
        reader.line()
        reader.line()
        break
      case OP.binString:
      case OP.binBytes:
        found(reader.take(reader.u32()), false)
        break
      case OP.shortBinString:
      case OP.shortBinBytes:
        found(reader.take(reader.u8()), false)
        break
      case OP.binUnicode:
        found(reader.take(reader.u32()), true)
        break
      case OP.emptyTuple:
      case OP.reduce:
      case OP.emptyDict:
      case OP.tuple1:
      case OP.tuple2:
      case OP.tuple3:
      case OP.build:
        break
      default:
        throw new FormatError(
          `opcode 0x${op.toString(16)} at byte ${reader.at - 1} of the pickle is not read`,
        )
    }
  }
}

/** Bytes that were decoded as latin-1 and written as UTF-8. */
function latin1Bytes(utf8: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(utf8.length)
  let length = 0
  for (let i = 0; i < utf8.length; i++) {
    const byte = utf8[i]
    if (byte < 0x80) bytes[length++] = byte
    else if ((byte === 0xc2 || byte === 0xc3) && (utf8[i + 1] & 0xc0) === 0x80)
      bytes[length++] = ((byte & 3) << 6) | (utf8[++i] & 0x3f)
    else throw new FormatError('the text of a frame holds characters above 255')
  }
  return bytes.subarray(0, length)
}

const MARK = Symbol('mark')

/** The stack and the memory of a pickle of plain values. */
class Machine {
  readonly reader: Reader
  readonly #stack: (Plain | typeof MARK)[] = []
  readonly #memo = new Map<number, Plain>()
  #made = 0

  constructor(bytes: Uint8Array) {
    this.reader = new Reader(bytes)
  }

  mark(): void {
    this.#stack.push(MARK)
  }

  push(value: Plain): void {
    if (++this.#made > VALUES_MAX) throw new FormatError(`the pickle makes more than ${VALUES_MAX} values`)
    this.#stack.push(value)
  }

  pop(): Plain {
    const value = this.#stack.pop()
    if (value === undefined || value === MARK)
      throw new FormatError('the pickle takes a value that is not there')
    return value
  }

  top(): Plain {
    const value = this.pop()
    this.#stack.push(value)
    return value
  }

  sinceMark(): Plain[] {
    const mark = this.#stack.lastIndexOf(MARK)
    if (mark < 0) throw new FormatError('the pickle has no mark')
    return this.#stack.splice(mark).slice(1) as Plain[]
  }

  remember(index: number): void {
    this.#memo.set(index, this.top())
  }

  recall(index: number): void {
    const value = this.#memo.get(index)
    if (value === undefined) throw new FormatError(`the pickle refers to value ${index}, which is not there`)
    this.push(value)
  }

  append(values: readonly Plain[]): void {
    const list = this.top()
    if (!Array.isArray(list)) throw new FormatError('the pickle appends to a value that is no list')
    for (const value of values) list.push(value)
  }

  /** Keys and values in turn. */
  setItems(items: readonly Plain[]): void {
    const value = this.top()
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
      throw new FormatError('the pickle sets an item of a value that is no dictionary')
    const own = { enumerable: true, configurable: true, writable: true }
    for (let i = 0; i + 1 < items.length; i += 2)
      Object.defineProperty(value, String(items[i]), { value: items[i + 1], ...own })
  }

  tuple(length: number): void {
    this.push(Array.from({ length }, () => this.pop()).reverse())
  }

  text(length: number): string {
    return Buffer.from(this.reader.take(length)).toString('utf8')
  }
}

/** What each opcode does; one that is not here is refused. */
const STEPS: ReadonlyMap<number, (machine: Machine) => void> = new Map([
  [OP.protocol, ({ reader }) => void reader.u8()],
  [OP.mark, (machine) => machine.mark()],
  [OP.none, (machine) => machine.push(null)],
  [OP.newTrue, (machine) => machine.push(true)],
  [OP.newFalse, (machine) => machine.push(false)],
  [OP.binInt, (machine) => machine.push(machine.reader.u32() | 0)],
  [OP.binInt1, (machine) => machine.push(machine.reader.u8())],
  [OP.binInt2, (machine) => machine.push(machine.reader.u16())],
  [OP.binFloat, (machine) => machine.push(machine.reader.f64())],
  [OP.binUnicode, (machine) => machine.push(machine.text(machine.reader.u32()))],
  [OP.shortBinString, (machine) => machine.push(machine.text(machine.reader.u8()))],
  [OP.binString, (machine) => machine.push(Uint8Array.from(machine.reader.take(machine.reader.u32())))],
  [OP.binBytes, (machine) => machine.push(Uint8Array.from(machine.reader.take(machine.reader.u32())))],
  [OP.shortBinBytes, (machine) => machine.push(Uint8Array.from(machine.reader.take(machine.reader.u8())))],
  [OP.emptyList, (machine) => machine.push([])],
  [OP.emptyTuple, (machine) => machine.push([])],
  [OP.emptyDict, (machine) => machine.push({})],
  [OP.append, (machine) => machine.append([machine.pop()])],
  [OP.appends, (machine) => machine.append(machine.sinceMark())],
  [OP.setItem, (machine) => machine.setItems([machine.pop(), machine.pop()].reverse())],
  [OP.setItems, (machine) => machine.setItems(machine.sinceMark())],
  [OP.tuple, (machine) => machine.push(machine.sinceMark())],
  [OP.tuple1, (machine) => machine.tuple(1)],
  [OP.tuple2, (machine) => machine.tuple(2)],
  [OP.tuple3, (machine) => machine.tuple(3)],
  [OP.binPut, (machine) => machine.remember(machine.reader.u8())],
  [OP.longBinPut, (machine) => machine.remember(machine.reader.u32())],
  [OP.binGet, (machine) => machine.recall(machine.reader.u8())],
  [OP.longBinGet, (machine) => machine.recall(machine.reader.u32())],
])

/**
 * Plain values of a pickle: null, booleans, numbers, strings, lists and dictionaries. No class is named and nothing is
 * called: an opcode that would do either is refused.
 * @throws FormatError
 */
export function readPlain(bytes: Uint8Array): Plain {
  const machine = new Machine(bytes)
  for (;;) {
    const op = machine.reader.u8()
    if (op === OP.stop) return machine.pop()
    const step = STEPS.get(op)
    if (step === undefined) {
      const at = machine.reader.at - 1
      throw new FormatError(
        `opcode 0x${op.toString(16)} at byte ${at} of the pickle is not read: only plain values are`,
      )
    }
    step(machine)
  }
}
