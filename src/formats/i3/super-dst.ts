import { FormatError } from '../format-error.ts'
import type { Archive } from './archive.ts'
import { PULSE_FLAG, PULSES_MAX, PulseColumns, type PulseSeries, packKey } from './pulse-series.ts'

/** Time before the Q frame's start from which the first readout counts, ns. */
const FIRST_NS = -512
const FIRST_STAMP_MAX = 2047
const STAMP_MAX = 255
const CHARGE_MAX = 63
const OVERFLOW = 0xffff
const CHARGE_STEP_PE = 0.05
/** Modules of a string above this are IceTop tanks. */
const IN_ICE_MODULES = 60
const HLC_FLAGS = PULSE_FLAG.localCoincidence | PULSE_FLAG.atwd | PULSE_FLAG.fadc

/** Pulses in the order of the blob. */
interface Readouts {
  readonly keys: number[]
  readonly times: number[]
  readonly charges: number[]
  readonly widths: number[]
  readonly flags: number[]
}

/**
 * The body of an I3SuperDST of version 1: IceCube's compressed pulses, with times of 1 ns and charges of 0.05 p.e.
 * (icecube/icetray-public, dataclasses/private/dataclasses/payload/I3SuperDST.cxx).
 * @throws FormatError for other versions, and for words or widths that are missing
 */
export function readSuperDst(archive: Archive, version: number): PulseSeries {
  if (version !== 1) throw new FormatError(`I3SuperDST of version ${version}; version 1 is read`)
  const stamps = readWords(archive, 'stamp')
  const headers = readWords(archive, 'header')
  const widths = [0, 1, 2, 3].map(() => new WidthCodes(readWords(archive, 'byte')))
  const extras = readWords(archive, 'byte')
  return group(decode(stamps, headers, widths, extras))
}

/** Each kind of word is a class of its own. Bytes have 8 bits, stamps and headers 16. */
function readWords(archive: Archive, kind: 'stamp' | 'header' | 'byte'): Words {
  archive.begin(`CompactVector<${kind}>`)
  archive.begin('SizeCodec')
  const tag = archive.u8()
  let size = tag
  if (tag >= 247) {
    size = 0
    const bytes = 255 - tag
    if (bytes === 0 || bytes > 6) throw new FormatError(`a size of ${bytes} bytes`)
    for (let i = 0; i < bytes; i++) size += archive.u8() * 256 ** i
  }
  const width = kind === 'byte' ? 1 : 2
  if (size * width > archive.remaining)
    throw new FormatError(`${size} words exceed the ${archive.remaining} bytes left`)
  if (size > 4 * PULSES_MAX) throw new FormatError(`${size} words; an event has at most ${PULSES_MAX} pulses`)
  const bytes = archive.take(size * width)
  if (kind === 'byte') return bytes
  const words = new Uint16Array(size)
  for (let i = 0; i < size; i++) words[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8)
  return words
}

/** Run-length codes: the value is in the low nibble, the count in the high one; equal neighbours join their counts. */
class WidthCodes {
  readonly #bytes: Uint8Array | Uint16Array
  #next = 0
  #value = 0
  #left = 0

  constructor(bytes: Uint8Array | Uint16Array) {
    this.#bytes = bytes
  }

  /** Width of the next pulse, ns. */
  take(): number {
    if (this.#left === 0) this.#run()
    this.#left--
    return 2 ** this.#value
  }

  #run(): void {
    if (this.#next >= this.#bytes.length) throw new FormatError('fewer widths than pulses')
    this.#value = this.#bytes[this.#next] & 15
    for (let shift = 1; this.#next < this.#bytes.length; shift *= 16) {
      const byte = this.#bytes[this.#next]
      if ((byte & 15) !== this.#value) break
      if (shift > 2 ** 28) throw new FormatError('a run of widths that is too long')
      this.#left += (byte >> 4) * shift
      this.#next++
    }
    if (this.#left <= 0) throw new FormatError('a run of no widths')
  }
}

type Words = Uint8Array | Uint16Array

function decode(stamps: Words, headers: Words, widths: readonly WidthCodes[], extras: Words): Readouts {
  const out: Readouts = { keys: [], times: [], charges: [], widths: [], flags: [] }
  let at = 0
  let extra = 0
  let readoutNs = FIRST_NS
  const word = (): number => {
    if (at >= stamps.length) throw new FormatError('the list of stamps ends within a readout')
    return stamps[at++]
  }
  const overflow = (code: number, max: number): number => {
    if (code !== max) return code
    let sum = code
    for (let more = word(); ; more = word()) {
      sum += more
      if (more !== OVERFLOW) return sum
    }
  }
  for (const header of headers) {
    const string = (header >> 6) & 127
    const module = (header & 63) + 1
    const isIceTop = module > IN_ICE_MODULES
    let pulseNs = readoutNs
    for (let isFirst = true, isLast = false; !isLast; isFirst = false) {
      const stamp = word()
      isLast = stamp >= 0x8000
      const isHlc = (stamp & 0x4000) !== 0
      const code = isFirst ? (stamp & 255) | ((header >> 13) << 8) : stamp & 255
      const timeNs = overflow(code, isFirst ? FIRST_STAMP_MAX : STAMP_MAX)
      const code6 = (stamp >> 8) & CHARGE_MAX
      if (isIceTop && extra >= extras.length) throw new FormatError('fewer extra bytes than IceTop pulses')
      const charge = isIceTop
        ? 10 ** (((code6 | (extras[extra++] << 6)) * 9) / 16_383 - 2)
        : (overflow(code6, CHARGE_MAX) + 0.5) * CHARGE_STEP_PE
      pulseNs += timeNs
      if (isFirst) readoutNs = pulseNs
      out.keys.push(packKey(string, module, 0))
      out.times.push(pulseNs)
      out.charges.push(charge)
      out.widths.push(widths[2 * Number(isIceTop) + Number(isHlc)].take())
      out.flags.push(isHlc ? HLC_FLAGS : PULSE_FLAG.fadc)
    }
  }
  return out
}

/** Pulses by channel and time. Pulses of one channel at the same time are moved apart, as IceTray does. */
function group({ keys, times, charges, widths, flags }: Readouts): PulseSeries {
  const order = Uint32Array.from(keys, (_, i) => i)
  order.sort((a, b) => keys[a] - keys[b] || times[a] - times[b] || a - b)
  const columns = new PulseColumns()
  for (let from = 0, to = 0; from < order.length; from = to) {
    const key = keys[order[from]]
    columns.beginChannel(key)
    const first = columns.length
    for (to = from; to < order.length && keys[order[to]] === key; to++) {
      const row = order[to]
      columns.add(times[row], charges[row], widths[row], flags[row])
    }
    separate(columns, first, columns.length)
    columns.endChannel()
  }
  return columns.toSeries()
}

/** Widths end where the next pulse begins; a pulse at the time of the next one takes half of its predecessor's width. */
function separate({ times, widths }: PulseColumns, from: number, to: number): void {
  let merges = false
  const move = (row: number): boolean => {
    const previous = row - 1
    if (previous < from) return true
    if (widths[previous] === 0 && widths[row] !== 0) widths[previous] = widths[row]
    const half = widths[previous] / 2
    widths[previous] = half
    widths[row] = half
    times[row] = times[previous] + half
    return false
  }
  for (let row = from; row < to - 1; row++) {
    widths[row] = Math.min(widths[row], times[row + 1] - times[row])
    merges = widths[row] === 0 || merges ? move(row) : false
  }
  if (merges) move(to - 1)
}
