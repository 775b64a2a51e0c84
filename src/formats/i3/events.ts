import { FormatError } from '../format-error.ts'
import { cleanPulses } from './clean.ts'
import { type Frame, type FrameEntry, Inheritance, type WholeFrame } from './frames.ts'
import {
  classOf,
  type EventHeader,
  isPulseSeries,
  type Particle,
  readHeader,
  readParticle,
  readParticles,
  readPulses,
  toUnixNs,
} from './objects.ts'
import type { PulseSeries } from './pulse-series.ts'

export interface EventIdentity {
  readonly run: number
  readonly subrun: number | undefined
  readonly event: number
  readonly subEvent: number
}

/** Where the neutrino came from, radians. */
export interface NamedDirection {
  readonly name: string
  readonly azimuth: number
  readonly zenith: number
}

/** One physics event. */
export interface I3Event {
  readonly identity: EventIdentity
  /** Unix nanoseconds at which the clock of `pulses` stood at 0. */
  readonly utcNs: bigint
  /** Key of the series that `pulses` was read from. */
  readonly series: string
  readonly pulses: PulseSeries
  /** Of the simulation; undefined for data and for noise. */
  readonly truth: NamedDirection | undefined
  /** What another reconstruction in the file found. It is no truth. */
  readonly reference: NamedDirection | undefined
}

/** A physics frame that holds no event which can be read. */
export interface UnreadableEvent {
  readonly identity: EventIdentity | undefined
  readonly reason: string
}

export interface I3Options {
  /** Key of the series of pulses; the first of `DEFAULT_SERIES` that the frame has unless told. */
  readonly pulses?: string | undefined
  /** Keeps only the pulses that IceCube's track fits use. */
  readonly clean?: boolean
}

/** Pulses of the sub-event come before those of the whole readout, uncleaned ones before cleaned ones. */
export const DEFAULT_SERIES = [
  'SplitInIcePulses',
  'SplitInIceDSTPulses',
  'SplitUncleanedInIcePulses',
  'SplitOfflinePulses',
  'InIcePulses',
  'InIceDSTPulses',
  'OfflinePulses',
  'I3SuperDST',
] as const

/** Splitters that repeat the whole readout, or look at IceTop alone: their frames would give an event twice. */
export const LEFT_OUT_SPLITTERS: ReadonlySet<string> = new Set([
  'NullSplit',
  'nullsplit',
  'IceTopSplit',
  'ice_top',
  'icetopsplit',
])
/** Fits of IceCube, the most trusted first; of high-energy starting events that of their own selection. */
const REFERENCE_FITS = ['l2_online_SplineMPE', 'HESE_SPEFit2', 'OnlineL2_SplineMPE', 'SplineMPE'] as const
/** Sub-events begin so long after the event's own clock in IceCube's usual events. */
const USUAL_START_NS = 6_000

/**
 * The events of a file's frames, in order. A frame whose event is broken is given with the reason, and the next one is read.
 * @throws FormatError where the frames themselves are broken
 */
export async function* readI3Events(
  frames: AsyncIterable<Frame> | Iterable<Frame>,
  options: I3Options = {},
): AsyncGenerator<I3Event | UnreadableEvent> {
  const inheritance = new Inheritance()
  for await (const frame of frames) {
    const whole = inheritance.add(frame)
    if (frame.stream !== 'P') continue
    const event = toEvent(whole, options)
    if (event) yield event
  }
}

export function isReadable(event: I3Event | UnreadableEvent): event is I3Event {
  return 'pulses' in event
}

/** Undefined for a frame that is no event of its own. */
export function toEvent(frame: WholeFrame, options: I3Options): I3Event | UnreadableEvent | undefined {
  let identity: EventIdentity | undefined
  try {
    const header = readHeader(required(frame.entry('I3EventHeader'), 'I3EventHeader'))
    if (LEFT_OUT_SPLITTERS.has(header.subEventStream)) return undefined
    identity = identityOf(header)
    const series = options.pulses ?? DEFAULT_SERIES.find((key) => frame.entry(key) !== undefined)
    if (series === undefined)
      throw new FormatError(`the frame has no series of pulses; it has ${seriesOf(frame)}`)
    const found = readPulses((key) => frame.entry(key), series)
    const { pulses, utcNs } = onOwnClock(
      options.clean ? cleanPulses(found) : found,
      header,
      startOfDaq(frame, header),
    )
    return { identity, utcNs, series, pulses, truth: truthOf(frame), reference: referenceOf(frame) }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    return { identity, reason: error.message }
  }
}

function seriesOf(frame: WholeFrame): string {
  const keys = frame.keys().filter((key) => {
    const entry = frame.entry(key)
    return entry !== undefined && isPulseSeries(entry)
  })
  return keys.length === 0 ? 'none' : keys.join(', ')
}

function required(entry: FrameEntry | undefined, key: string): FrameEntry {
  if (entry === undefined) throw new FormatError(`the frame has no ${key}`)
  return entry
}

function identityOf({ run, subrun, event, subEvent }: EventHeader): EventIdentity {
  return { run, subrun, event, subEvent }
}

/** Times of pulses count from the start of the DAQ frame, which the physics frame's own header shadows. */
function startOfDaq(frame: WholeFrame, header: EventHeader): bigint {
  const entry = frame.ofDaq('QI3EventHeader') ?? frame.ofDaq('I3EventHeader')
  return toUnixNs(entry ? readHeader(entry).start : header.start)
}

/**
 * A late sub-event of a long readout begins up to a tenth of a second after it, where float32 has steps of 8 ns. Its clock
 * is moved by whole nanoseconds, so that it begins as usual events do.
 */
function onOwnClock(
  pulses: PulseSeries,
  header: EventHeader,
  daqNs: bigint,
): { readonly pulses: PulseSeries; readonly utcNs: bigint } {
  const shiftNs = Number(toUnixNs(header.start) - daqNs) - USUAL_START_NS
  if (shiftNs <= 0) return { pulses, utcNs: daqNs }
  return {
    pulses: { ...pulses, times: pulses.times.map((timeNs) => timeNs - shiftNs) },
    utcNs: daqNs + BigInt(shiftNs),
  }
}

/** Key of the primary of a simulated event. */
export const PRIMARY_KEY = 'MCInIcePrimary'

/** The direction of the primary. The first of a tree that has an energy: MuonGun's head has none. */
function truthOf(frame: WholeFrame): NamedDirection | undefined {
  const primary = frame.entry(PRIMARY_KEY)
  if (primary && classOf(primary) === 'I3Particle') return directionOf(PRIMARY_KEY, readParticle(primary))
  const tree = frame.entry('I3MCTree')
  if (!tree || classOf(tree) !== 'I3MCTree') return undefined
  const [first, second] = readParticles(tree)
  return directionOf('I3MCTree', first && Number.isFinite(first.energyGev) ? first : (second ?? first))
}

function referenceOf(frame: WholeFrame): NamedDirection | undefined {
  for (const key of REFERENCE_FITS) {
    const entry = frame.entry(key)
    if (!entry || classOf(entry) !== 'I3Particle') continue
    const particle = readParticle(entry)
    if (particle.isFitted) return directionOf(key, particle)
  }
  return undefined
}

function directionOf(name: string, particle: Particle | undefined): NamedDirection | undefined {
  if (!particle || !Number.isFinite(particle.zenith + particle.azimuth)) return undefined
  const { azimuth, zenith } = particle
  return { name, azimuth, zenith }
}
