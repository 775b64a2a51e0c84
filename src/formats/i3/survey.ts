import { FormatError } from '../format-error.ts'
import { isReadable, LEFT_OUT_SPLITTERS, PRIMARY_KEY, toEvent } from './events.ts'
import { type Frame, Inheritance, type WholeFrame } from './frames.ts'
import {
  classOf,
  type EventHeader,
  isPulseSeries,
  readHeader,
  readParticle,
  readPulses,
  toUnixNs,
} from './objects.ts'
import { nameOfKey, type PulseSeries, pulsesOf, unpackKey } from './pulse-series.ts'
import { isIceTop, toSensorId } from './sensors.ts'

/** How often a name occurs. */
export interface Count {
  readonly name: string
  readonly count: number
}

/** The lowest and the highest of some numbers. */
export interface Range<T> {
  readonly from: T
  readonly to: T
}

/** One series of pulses over all physics frames. */
export interface SeriesSurvey {
  readonly name: string
  /** Physics frames that have it, those included in which it cannot be read. */
  readonly frames: number
  readonly pulses: number
  /** Pulses of the frame that has the most. */
  readonly mostPulses: number
  readonly iceTopPulses: number
  /** Pulses of channels that are neither in the ice of IceCube-86 nor in an IceTop tank. */
  readonly otherPulses: number
  /** Frames in which it cannot be read. */
  readonly brokenFrames: number
  /** Events whose pulses are read from it unless another series is asked for. */
  readonly eventsRead: number
}

/** What the frames of a file hold. Names and counts are of physics frames unless told otherwise. */
export interface FrameSurvey {
  /** Frames of each kind by letter, in the order of their first occurrence. */
  readonly frames: readonly Count[]
  /** Events that a source gives. */
  readonly events: number
  /** Physics frames that a source leaves out because they repeat an event. */
  readonly leftOut: number
  /** Physics frames whose event cannot be read, and the first reasons. */
  readonly broken: { readonly count: number; readonly reasons: readonly string[] }
  /** Frames by splitter; a frame of a file without splitters has an empty name. */
  readonly splitters: readonly Count[]
  /** Events of the DAQ frame that has the most. */
  readonly mostSubEvents: number
  readonly runs: Range<number> | undefined
  readonly eventNumbers: Range<number> | undefined
  /** Start of the first event and end of the last one, Unix nanoseconds. */
  readonly utcNs: Range<bigint> | undefined
  readonly series: readonly SeriesSurvey[]
  /** Events that have a true direction, by the key that gives it. */
  readonly truth: readonly Count[]
  /** Events that have a reference direction, by the fit that gives it. */
  readonly reference: readonly Count[]
  /** Frames that hold a successful fit, by its key. */
  readonly fits: readonly Count[]
  /** Channels outside IceCube-86, of all series. */
  readonly otherChannels: ChannelSurvey
}

export interface ChannelSurvey {
  /** Channels that differ; at least so many where `isCut`. */
  readonly count: number
  readonly isCut: boolean
  /** The lowest keys, such as `(87, 1, 0)`: string, module, photomultiplier. */
  readonly examples: readonly string[]
  readonly strings: Range<number> | undefined
  /** Events with a pulse of such a channel in the series that is read; a source of IceCube-86 refuses them. */
  readonly events: number
}

const NAMES_MAX = 1_000
const CHANNELS_MAX = 65_536
const EXAMPLES_MAX = 5
const OTHER_NAMES = '(other names)'

/**
 * Counts what frames hold, one after the other. Memory is bounded: names beyond the first 1,000 of a kind are counted together.
 */
export class FrameCounter {
  readonly #inheritance = new Inheritance()
  readonly #frames = new Tally()
  readonly #splitters = new Tally()
  readonly #truth = new Tally()
  readonly #reference = new Tally()
  readonly #fits = new Tally()
  readonly #series = new Map<string, { -readonly [Field in keyof SeriesSurvey]: SeriesSurvey[Field] }>()
  readonly #channels = new Set<number>()
  readonly #runs = new Extent<number>()
  readonly #eventNumbers = new Extent<number>()
  readonly #utcNs = new Extent<bigint>()
  readonly #reasons: string[] = []
  #events = 0
  #leftOut = 0
  #broken = 0
  #subEvents = 0
  #mostSubEvents = 0
  #eventsOfOthers = 0

  /** Physics frames so far. */
  get physicsFrames(): number {
    return this.#events + this.#leftOut + this.#broken
  }

  add(frame: Frame): void {
    this.#frames.add(frame.stream)
    const whole = this.#inheritance.add(frame)
    if (frame.stream === 'Q') this.#subEvents = 0
    if (frame.stream !== 'P') return
    this.#addEvent(whole)
    attempt(() => this.#addHeader(whole))
    attempt(() => this.#addEntries(whole))
  }

  survey(): FrameSurvey {
    return {
      frames: this.#frames.counts(),
      events: this.#events,
      leftOut: this.#leftOut,
      broken: { count: this.#broken, reasons: [...this.#reasons] },
      splitters: this.#splitters.counts(),
      mostSubEvents: this.#mostSubEvents,
      runs: this.#runs.range,
      eventNumbers: this.#eventNumbers.range,
      utcNs: this.#utcNs.range,
      series: [...this.#series.values()].sort((a, b) => compare(a.name, b.name)),
      truth: this.#truth.counts(),
      reference: this.#reference.counts(),
      fits: this.#fits.counts().toSorted((a, b) => compare(a.name, b.name)),
      otherChannels: this.#channelSurvey(),
    }
  }

  #addEvent(frame: WholeFrame): void {
    const event = toEvent(frame, {})
    if (event === undefined) {
      this.#leftOut++
      return
    }
    if (!isReadable(event)) {
      this.#broken++
      if (this.#reasons.length < EXAMPLES_MAX && !this.#reasons.includes(event.reason))
        this.#reasons.push(event.reason)
      return
    }
    this.#events++
    this.#mostSubEvents = Math.max(this.#mostSubEvents, ++this.#subEvents)
    this.#seriesOf(event.series).eventsRead++
    if (event.truth) this.#truth.add(event.truth.name)
    if (event.reference) this.#reference.add(event.reference.name)
    if (event.pulses.keys.some(isOther)) this.#eventsOfOthers++
  }

  #addHeader(frame: WholeFrame): void {
    const entry = frame.entry('I3EventHeader')
    if (entry === undefined) return
    const header: EventHeader = readHeader(entry)
    this.#splitters.add(header.subEventStream)
    if (LEFT_OUT_SPLITTERS.has(header.subEventStream)) return
    this.#runs.add(header.run)
    this.#eventNumbers.add(header.event)
    this.#utcNs.add(toUnixNs(header.start))
    this.#utcNs.add(toUnixNs(header.end))
  }

  #addEntries(frame: WholeFrame): void {
    for (const key of frame.keys()) {
      const entry = frame.entry(key)
      if (entry === undefined) continue
      attempt(() => {
        if (isPulseSeries(entry)) this.#addSeries(key, frame)
        else if (key !== PRIMARY_KEY && classOf(entry) === 'I3Particle') {
          const { isFitted, zenith, azimuth } = readParticle(entry)
          if (isFitted && Number.isFinite(zenith + azimuth)) this.#fits.add(key)
        }
      })
    }
  }

  #addSeries(key: string, frame: WholeFrame): void {
    const series = this.#seriesOf(key)
    series.frames++
    const pulses = attempt(() => readPulses((name) => frame.entry(name), key))
    if (pulses === undefined) {
      series.brokenFrames++
      return
    }
    series.pulses += pulsesOf(pulses)
    series.mostPulses = Math.max(series.mostPulses, pulsesOf(pulses))
    for (const [channel, packed] of pulses.keys.entries()) {
      if (isOther(packed)) {
        series.otherPulses += pulsesOfChannel(pulses, channel)
        if (this.#channels.size < CHANNELS_MAX) this.#channels.add(packed)
      } else if (isIceTop(unpackKey(packed))) series.iceTopPulses += pulsesOfChannel(pulses, channel)
    }
  }

  #seriesOf(key: string) {
    const name = this.#series.has(key) || this.#series.size < NAMES_MAX ? key : OTHER_NAMES
    const known = this.#series.get(name)
    if (known) return known
    const none = { frames: 0, pulses: 0, mostPulses: 0, iceTopPulses: 0, otherPulses: 0, brokenFrames: 0 }
    const fresh = { name, ...none, eventsRead: 0 }
    this.#series.set(name, fresh)
    return fresh
  }

  #channelSurvey(): ChannelSurvey {
    const keys = [...this.#channels].sort((a, b) => a - b)
    const [first, last] = [keys.at(0), keys.at(-1)]
    return {
      count: keys.length,
      isCut: keys.length >= CHANNELS_MAX,
      examples: keys.slice(0, EXAMPLES_MAX).map(nameOfKey),
      strings:
        first === undefined || last === undefined
          ? undefined
          : { from: unpackKey(first).string, to: unpackKey(last).string },
      events: this.#eventsOfOthers,
    }
  }
}

/** Undefined where the part is damaged. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof FormatError) return undefined
    throw error
  }
}

function isOther(packed: number): boolean {
  const key = unpackKey(packed)
  return toSensorId(key) === undefined && !isIceTop(key)
}

function pulsesOfChannel({ starts }: PulseSeries, channel: number): number {
  return starts[channel + 1] - starts[channel]
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

/** Counts of names, in the order of their first occurrence. */
class Tally {
  readonly #counts = new Map<string, number>()

  add(name: string): void {
    const counted = this.#counts.has(name) || this.#counts.size < NAMES_MAX ? name : OTHER_NAMES
    this.#counts.set(counted, (this.#counts.get(counted) ?? 0) + 1)
  }

  counts(): Count[] {
    return Array.from(this.#counts, ([name, count]) => ({ name, count }))
  }
}

class Extent<T extends number | bigint> {
  range: Range<T> | undefined

  add(value: T): void {
    const { from, to } = this.range ?? { from: value, to: value }
    this.range = { from: value < from ? value : from, to: value > to ? value : to }
  }
}
