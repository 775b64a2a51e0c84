import { FormatError } from '../format-error.ts'
import { Archive } from './archive.ts'
import type { FrameEntry } from './frames.ts'
import {
  applyMask,
  type PulseSeries,
  readKey,
  readMask,
  readPulseMap,
  readUnion,
  unite,
} from './pulse-series.ts'
import { readSuperDst } from './super-dst.ts'

/** Objects of frames (icecube/icetray-public, dataclasses). Fields are in SI-like IceTray units: m, ns, GeV, radians. */

/** When an event happened, as the DAQ counts: tenths of a nanosecond of a UTC year, leap seconds included. */
export interface DaqTime {
  readonly year: number
  readonly tenths: bigint
}

export interface EventHeader {
  readonly run: number
  /** Undefined where it is not set. */
  readonly subrun: number | undefined
  readonly event: number
  readonly subEvent: number
  /** The splitter that made the sub-event, such as `InIceSplit`; empty in a DAQ frame. */
  readonly subEventStream: string
  readonly start: DaqTime
  readonly end: DaqTime
}

export interface Particle {
  /** PDG number. 0 where it is none. */
  readonly type: number
  readonly isFitted: boolean
  readonly x: number
  readonly y: number
  readonly z: number
  /** Where the particle came from. */
  readonly zenith: number
  readonly azimuth: number
  readonly timeNs: number
  readonly energyGev: number
  readonly lengthM: number
  /** True for a particle of the simulation that is in the ice. */
  readonly isInIce: boolean
}

const UNSET = 0xffff_ffff
/** End of the day before which a leap second was inserted, by year: days since 1 January. Source: IERS Bulletin C. */
const LEAP_SECONDS: readonly (readonly [year: number, month: number, day: number])[] = [
  [2008, 12, 31],
  [2012, 6, 30],
  [2015, 6, 30],
  [2016, 12, 31],
]
const TENTHS_PER_SECOND = 10_000_000_000n

/** Unix time in nanoseconds, without leap seconds: a leap second repeats the second before it. Digits below 1 ns are cut. */
export function toUnixNs({ year, tenths }: DaqTime): bigint {
  const startMs = Date.UTC(year, 0, 1)
  let leaps = 0n
  for (const [leapYear, month, day] of LEAP_SECONDS) {
    if (leapYear !== year) continue
    // Seconds of the year at which the inserted second begins.
    const seconds = BigInt((Date.UTC(year, month - 1, day + 1) - startMs) / 1000)
    if (tenths >= (seconds + leaps) * TENTHS_PER_SECOND) leaps++
  }
  return BigInt(startMs) * 1_000_000n + (tenths - leaps * TENTHS_PER_SECOND) / 10n
}

/** Opens an entry and checks its class. @throws FormatError for a null pointer or another class */
function open(entry: FrameEntry, expected: string): { archive: Archive; version: number } {
  const archive = new Archive(entry.blob)
  const { name, version } = archive.beginEntry()
  if (name !== expected) throw new FormatError(`expected an ${expected}, found ${name ?? 'a null pointer'}`)
  return { archive, version }
}

/** Class of an entry, which is more telling than the type that a compiler wrote; undefined for a null pointer. */
export function classOf({ blob }: FrameEntry): string | undefined {
  return new Archive(blob).beginEntry().name
}

function readTime(archive: Archive): DaqTime {
  const version = archive.beginFrameObject('I3Time')
  if (version !== 0) throw new FormatError(`I3Time of version ${version}; version 0 is read`)
  const year = archive.i32()
  const tenths = archive.i64()
  if (year < 1900 || year > 2200) throw new FormatError(`the year ${year} of a time`)
  return { year, tenths }
}

export function readHeader(entry: FrameEntry): EventHeader {
  const { archive, version } = open(entry, 'I3EventHeader')
  if (version > 3) throw new FormatError(`I3EventHeader of version ${version}; 0 to 3 are read`)
  const run = archive.u32()
  const subrun = version >= 1 ? archive.u32() : UNSET
  const event = archive.u32()
  if (version >= 2) archive.i32()
  const subEvent = version >= 3 ? archive.u32() : 0
  const subEventStream = version >= 3 ? archive.string() : ''
  const start = readTime(archive)
  const end = readTime(archive)
  return { run, subrun: subrun === UNSET ? undefined : subrun, event, subEvent, subEventStream, start, end }
}

export function readDouble(entry: FrameEntry): number {
  return open(entry, 'I3Double').archive.f64()
}

export function readText(entry: FrameEntry): string {
  return open(entry, 'I3String').archive.string()
}

/** An I3MapStringDouble, such as I3MCWeightDict. */
export function readNumbers(entry: FrameEntry): Map<string, number> {
  const { archive } = open(entry, 'I3MapStringDouble')
  archive.begin('map<string, double>')
  const numbers = new Map<string, number>()
  for (let count = archive.count(12); count > 0; count--) {
    archive.begin('pair<string, double>')
    const key = archive.string()
    numbers.set(key, archive.f64())
  }
  return numbers
}

/** Start and end, ns after the DAQ frame's start. */
export function readTimeWindow(entry: FrameEntry): readonly [start: number, stop: number] {
  const { archive } = open(entry, 'I3TimeWindow')
  return [archive.f64(), archive.f64()]
}

const IN_ICE = 20
/** Types of versions 3 and 4, by the number of Geant 3. */
const OLD_TYPES: Readonly<Record<number, number>> = {
  5: -13,
  6: 13,
  66: 12,
  67: -12,
  68: 14,
  69: -14,
  133: 16,
  134: -16,
}

export function readParticle(entry: FrameEntry): Particle {
  const { archive, version } = open(entry, 'I3Particle')
  return readParticleBody(archive, version)
}

function readParticleBody(archive: Archive, version: number): Particle {
  if (version < 3 || version > 5) throw new FormatError(`I3Particle of version ${version}; 3 to 5 are read`)
  archive.i32() // minor id
  archive.u64() // major id
  const stored = archive.i32()
  const type = version === 5 ? stored : (OLD_TYPES[stored] ?? stored)
  archive.i32() // shape
  const status = archive.i32()
  archive.beginFrameObject('I3Position')
  const [x, y, z] = [archive.f64(), archive.f64(), archive.f64()]
  archive.beginFrameObject('I3Direction')
  const [zenith, azimuth] = [archive.f64(), archive.f64()]
  const timeNs = archive.f64()
  const energyGev = archive.f64()
  const lengthM = archive.f64()
  archive.f64() // speed
  const isInIce = archive.i32() === IN_ICE
  if (version === 4) archive.take(16)
  return { type, isFitted: status === 0, x, y, z, zenith, azimuth, timeNs, energyGev, lengthM, isInIce }
}

const TREE_CHUNK = 65_535

/** The particles of an I3MCTree of version 1 in pre-order: the first primary comes first. */
export function readParticles(entry: FrameEntry): Particle[] {
  const { archive, version } = open(entry, 'I3MCTree')
  if (version !== 1) throw new FormatError(`I3MCTree of version ${version}; version 1 is read`)
  const particles: Particle[] = []
  for (;;) {
    const bits = archive.u32()
    if (bits === 0) return particles
    const words = archive.count(8)
    if (words * 64 < bits) throw new FormatError(`a tree of ${bits} bits in ${words} words`)
    const mask = archive.take(8 * words)
    for (let bit = 0; bit < bits; bit++) {
      if (((mask[bit >> 3] >> (bit & 7)) & 1) === 0) continue
      particles.push(readParticleBody(archive, archive.beginFrameObject('I3Particle')))
    }
    if (bits !== TREE_CHUNK) return particles
  }
}

export interface ModuleGeometry {
  readonly key: number
  readonly x: number
  readonly y: number
  readonly z: number
  /** Unit vector along which the photomultiplier looks. */
  readonly direction: readonly [number, number, number]
  /** IceTray's number of the kind of module: 20 IceCube, 110 pDOM, 120 D-Egg, 130 mDOM. */
  readonly type: number
  /** m² */
  readonly area: number
}

/** Photomultipliers of an I3Geometry; what else it holds is not read. */
export function readGeometry(entry: FrameEntry): ModuleGeometry[] {
  const { archive } = open(entry, 'I3Geometry')
  archive.beginFrameObject('I3OMGeoMap')
  archive.begin('map<OMKey, I3OMGeo>')
  return Array.from({ length: archive.count(KEY_AND_GEOMETRY_BYTES) }, () => {
    archive.begin('pair<OMKey, I3OMGeo>')
    const key = readKey(archive)
    const version = archive.begin('I3OMGeo')
    archive.beginFrameObject('I3Position')
    const [x, y, z] = [archive.f64(), archive.f64(), archive.f64()]
    if (version < 1) throw new FormatError(`I3OMGeo of version ${version}; 1 and 2 are read`)
    archive.beginFrameObject('I3Orientation')
    archive.beginFrameObject('I3Quaternion')
    const [qx, qy, qz, qw] = [archive.f64(), archive.f64(), archive.f64(), archive.f64()]
    const type = archive.i32()
    const area = archive.f64()
    if (version >= 2) archive.i32()
    const direction = [2 * (qx * qz + qw * qy), 2 * (qy * qz - qw * qx), 1 - 2 * (qx * qx + qy * qy)] as const
    return { key, x, y, z, direction, type, area }
  })
}

const KEY_AND_GEOMETRY_BYTES = 60

/** Masks of masks; a chain that is longer is refused. */
const CHAIN_MAX = 16

/** How a frame's entries are looked up. */
export type Lookup = (key: string) => FrameEntry | undefined

/**
 * The pulses under a key: a map of pulses, a SuperDST, or a mask or union of others, resolved from the bottom.
 * @throws FormatError where the key or one that it needs is missing, or names itself
 */
export function readPulses(lookup: Lookup, key: string, depth = 0): PulseSeries {
  if (depth > CHAIN_MAX)
    throw new FormatError(`${key}: more than ${CHAIN_MAX} masks and unions build on one another`)
  const entry = lookup(key)
  if (entry === undefined) throw new FormatError(`the frame has no ${key}`)
  const archive = new Archive(entry.blob)
  const { name, version } = archive.beginEntry()
  switch (name) {
    case 'I3RecoPulseSeriesMap':
      return readPulseMap(archive)
    case 'I3SuperDST':
      return readSuperDst(archive, version)
    case 'I3RecoPulseSeriesMapMask': {
      const mask = readMask(archive, version)
      return applyMask(readPulses(lookup, mask.source, depth + 1), mask)
    }
    case 'I3RecoPulseSeriesMapUnion':
      return unite(readUnion(archive).map((part) => readPulses(lookup, part, depth + 1)))
    default:
      throw new FormatError(`${key} is ${name ?? 'a null pointer'}, no series of pulses`)
  }
}

const SERIES = new Set([
  'I3RecoPulseSeriesMap',
  'I3SuperDST',
  'I3RecoPulseSeriesMapMask',
  'I3RecoPulseSeriesMapUnion',
])

/** Whether an entry holds pulses. */
export function isPulseSeries(entry: FrameEntry): boolean {
  return SERIES.has(classOf(entry) ?? '')
}
