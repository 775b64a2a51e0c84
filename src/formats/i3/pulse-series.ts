import { FormatError } from '../format-error.ts'
import type { Archive } from './archive.ts'

/** One photomultiplier, as IceTray names it. In-ice modules of strings 1 to 86 have numbers 1 to 60; 61 to 64 are IceTop tanks. */
export interface ChannelKey {
  readonly string: number
  readonly module: number
  readonly photomultiplier: number
}

/**
 * Pulses of an event, grouped by channel in ascending order of key. Pulses of channel `c` are rows `starts[c]` to
 * `starts[c + 1]`.
 */
export interface PulseSeries {
  /** [channels]; see `packKey`. */
  readonly keys: Float64Array
  /** [channels + 1] */
  readonly starts: Int32Array
  /** ns after the start time of the Q frame's header. [pulses] */
  readonly times: Float64Array
  /** p.e. (IceTop: VEM). [pulses] */
  readonly charges: Float32Array
  /** ns. [pulses] */
  readonly widths: Float32Array
  /** Sum of `PULSE_FLAG` values. [pulses] */
  readonly flags: Uint8Array
}

/** `localCoincidence` is hard local coincidence (HLC) in IceCube-86. */
export const PULSE_FLAG = { localCoincidence: 1, atwd: 2, fadc: 4 } as const

export const PULSES_MAX = 1_048_576

const MODULE_FACTOR = 256
const STRING_FACTOR = 65_536 * 65_536

/** One number that sorts as (string, module, photomultiplier) does. */
export function packKey(string: number, module: number, photomultiplier: number): number {
  return string * STRING_FACTOR + module * MODULE_FACTOR + photomultiplier
}

export function unpackKey(key: number): ChannelKey {
  const string = Math.floor(key / STRING_FACTOR)
  const rest = key - string * STRING_FACTOR
  const module = Math.floor(rest / MODULE_FACTOR)
  return { string, module, photomultiplier: rest - module * MODULE_FACTOR }
}

export function nameOfKey(key: number): string {
  const { string, module, photomultiplier } = unpackKey(key)
  return `(${string}, ${module}, ${photomultiplier})`
}

export function pulsesOf({ times }: PulseSeries): number {
  return times.length
}

export function channelsOf({ keys }: PulseSeries): number {
  return keys.length
}

/** Columns that grow; what a decoder writes into. */
export class PulseColumns {
  times: Float64Array
  charges: Float32Array
  widths: Float32Array
  flags: Uint8Array
  readonly keys: number[] = []
  readonly starts: number[] = [0]
  length = 0

  /** @param room pulses for which there is room at first */
  constructor(room = 256) {
    const size = Math.max(1, room)
    this.times = new Float64Array(size)
    this.charges = new Float32Array(size)
    this.widths = new Float32Array(size)
    this.flags = new Uint8Array(size)
  }

  beginChannel(key: number): void {
    this.keys.push(key)
  }

  endChannel(): void {
    this.starts.push(this.length)
  }

  add(time: number, charge: number, width: number, flags: number): void {
    if (this.length === this.times.length) this.#grow()
    this.times[this.length] = time
    this.charges[this.length] = charge
    this.widths[this.length] = width
    this.flags[this.length] = flags
    this.length++
  }

  /** Rows `from` to `to` of a series become a channel of this one. */
  addRow(of: PulseSeries, row: number): void {
    this.add(of.times[row], of.charges[row], of.widths[row], of.flags[row])
  }

  toSeries(): PulseSeries {
    const { keys, starts, length } = this
    return {
      keys: Float64Array.from(keys),
      starts: Int32Array.from(starts),
      times: this.times.subarray(0, length),
      charges: this.charges.subarray(0, length),
      widths: this.widths.subarray(0, length),
      flags: this.flags.subarray(0, length),
    }
  }

  #grow(): void {
    const size = 2 * this.times.length
    if (this.length >= PULSES_MAX) throw new FormatError(`an event has more than ${PULSES_MAX} pulses`)
    const grown = <T extends Float64Array | Float32Array | Uint8Array>(into: T, from: T): T => {
      into.set(from)
      return into
    }
    this.times = grown(new Float64Array(size), this.times)
    this.charges = grown(new Float32Array(size), this.charges)
    this.widths = grown(new Float32Array(size), this.widths)
    this.flags = grown(new Uint8Array(size), this.flags)
  }
}

/** Bytes of a key's entry and of a pulse that stand in every blob. */
const KEY_BYTES = 13
const PULSE_BYTES = 17

/** The body of an I3RecoPulseSeriesMap (version 0). */
export function readPulseMap(archive: Archive): PulseSeries {
  archive.begin('map<OMKey, vector<I3RecoPulse>>')
  const columns = new PulseColumns()
  let last = Number.NEGATIVE_INFINITY
  for (let channels = archive.count(KEY_BYTES); channels > 0; channels--) {
    archive.begin('pair<OMKey, vector<I3RecoPulse>>')
    const key = readKey(archive)
    if (key <= last) throw new FormatError(`channel ${nameOfKey(key)} follows a higher one or itself`)
    last = key
    columns.beginChannel(key)
    archive.begin('vector<I3RecoPulse>')
    for (let pulses = archive.count(PULSE_BYTES); pulses > 0; pulses--) readPulse(archive, columns)
    columns.endChannel()
  }
  return columns.toSeries()
}

function readPulse(archive: Archive, columns: PulseColumns): void {
  const version = archive.begin('I3RecoPulse')
  if (version < 2 || version > 3) throw new FormatError(`I3RecoPulse of version ${version}; 2 and 3 are read`)
  const time = version === 2 ? archive.f32() : archive.f64()
  const charge = archive.f32()
  const width = archive.f32()
  columns.add(time, charge, width, archive.u8())
}

/** Versions 0 and 1 derive from I3FrameObject; version 0 has no photomultiplier. */
export function readKey(archive: Archive): number {
  const version = archive.begin('OMKey')
  if (version > 2) throw new FormatError(`OMKey of version ${version}; 0 to 2 are read`)
  if (version < 2) archive.begin('I3FrameObject')
  const string = archive.i32()
  const module = archive.u32()
  const photomultiplier = version === 0 ? 0 : archive.u8()
  if (module > 0xffff) throw new FormatError(`module ${module} of string ${string} is above 65535`)
  return packKey(string, module, photomultiplier)
}

export interface PulseMask {
  /** Key of the frame entry that the mask chooses from. */
  readonly source: string
  /** One for each channel of the source, in its order. */
  readonly channels: BitSet
  /** For each channel that is set, one for each of its pulses. */
  readonly pulses: readonly BitSet[]
}

/** Bits in little-endian order within bytes. */
export interface BitSet {
  readonly bytes: Uint8Array
  readonly length: number
}

export function isSet({ bytes }: BitSet, index: number): boolean {
  return ((bytes[index >> 3] >> (index & 7)) & 1) === 1
}

/** The body of an I3RecoPulseSeriesMapMask. */
export function readMask(archive: Archive, version: number): PulseMask {
  if (version > 2) throw new FormatError(`I3RecoPulseSeriesMapMask of version ${version}; 0 to 2 are read`)
  const source = archive.string()
  if (version === 1) archive.f32()
  const channels = readBits(archive)
  archive.begin('vector<bitmask>')
  const pulses = Array.from({ length: archive.count(3) }, () => readBits(archive))
  return { source, channels, pulses }
}

function readBits(archive: Archive): BitSet {
  archive.begin('bitmask')
  const size = archive.u16()
  const padding = archive.u8()
  if (padding > 8 * size) throw new FormatError(`a mask of ${size} bytes has ${padding} bits of padding`)
  return { bytes: archive.take(size), length: 8 * size - padding }
}

/** The pulses that a mask chooses. A channel that keeps no pulse is left out. @throws FormatError where the sizes differ */
export function applyMask(source: PulseSeries, { channels, pulses }: PulseMask): PulseSeries {
  const isEmpty = channels.length === 0 && pulses.length === 0
  if (!isEmpty && channels.length !== channelsOf(source))
    throw new FormatError(
      `a mask of ${channels.length} channels belongs to another series than one of ${channelsOf(source)}`,
    )
  const columns = new PulseColumns(pulsesOf(source))
  let used = 0
  for (let channel = 0; channel < channels.length; channel++) {
    if (!isSet(channels, channel)) continue
    const mask = pulses[used++]
    const [from, to] = [source.starts[channel], source.starts[channel + 1]]
    if (mask === undefined || mask.length !== to - from)
      throw new FormatError(
        `the mask of channel ${nameOfKey(source.keys[channel])} is for ${mask?.length ?? 0} pulses; it has ${to - from}`,
      )
    const before = columns.length
    for (let row = from; row < to; row++) if (isSet(mask, row - from)) columns.addRow(source, row)
    if (columns.length === before) continue
    columns.beginChannel(source.keys[channel])
    columns.endChannel()
  }
  if (used !== pulses.length) throw new FormatError(`${pulses.length} masks of pulses for ${used} channels`)
  return columns.toSeries()
}

/** All pulses of several series; those of one channel by time, of equal times in the order of the series. */
export function unite(parts: readonly PulseSeries[]): PulseSeries {
  const channels = parts.flatMap((part) => Array.from(part.keys, (key, channel) => ({ key, part, channel })))
  channels.sort((a, b) => a.key - b.key)
  const columns = new PulseColumns(parts.reduce((sum, part) => sum + pulsesOf(part), 0))
  for (let from = 0, to = 0; from < channels.length; from = to) {
    const { key } = channels[from]
    while (to < channels.length && channels[to].key === key) to++
    columns.beginChannel(key)
    addByTime(columns, channels.slice(from, to))
    columns.endChannel()
  }
  return columns.toSeries()
}

interface ChannelOf {
  readonly part: PulseSeries
  readonly channel: number
}

function isByTime({ part: { starts, times }, channel }: ChannelOf): boolean {
  for (let row = starts[channel] + 1; row < starts[channel + 1]; row++)
    if (times[row] < times[row - 1]) return false
  return true
}

function addByTime(columns: PulseColumns, channels: readonly ChannelOf[]): void {
  const rows = channels.flatMap(({ part, channel }) => {
    const [from, to] = [part.starts[channel], part.starts[channel + 1]]
    return Array.from({ length: to - from }, (_, i) => ({ part, row: from + i }))
  })
  if (channels.length > 1 || !isByTime(channels[0]))
    rows.sort((a, b) => a.part.times[a.row] - b.part.times[b.row])
  for (const { part, row } of rows) columns.addRow(part, row)
}

/** The body of an I3RecoPulseSeriesMapUnion: keys of the series that it joins. */
export function readUnion(archive: Archive): string[] {
  archive.begin('vector<string>')
  return Array.from({ length: archive.count(4) }, () => archive.string())
}
