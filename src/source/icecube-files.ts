import { readFile, stat } from 'node:fs/promises'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { allocateEvents, type EventBatch } from '../event/event-batch.ts'
import { MESSAGE_BYTES_MAX, readMessage } from '../formats/alert/message.ts'
import { readDecompressed } from '../formats/decompress.ts'
import { FormatError } from '../formats/format-error.ts'
import {
  type EventIdentity,
  type I3Event,
  type I3Options,
  isReadable,
  readI3Events,
  type UnreadableEvent,
} from '../formats/i3/events.ts'
import { type Frame, readFrames } from '../formats/i3/frames.ts'
import { nameOfKey, PULSE_FLAG, unpackKey } from '../formats/i3/pulse-series.ts'
import { isIceTop, toSensorId } from '../formats/i3/sensors.ts'
import { expandList, readResume } from './pulse-files.ts'
import type { EventSource, RejectedEvent, SourceChunk, SourceReadOptions } from './source.ts'

type Kind = 'i3' | 'alert'

/** A chunk ends early when it holds so many pulses. */
const CHUNK_PULSES_MAX = 262_144

/**
 * IceCube's own files: I3 files (`i3:FILE,…`), and realtime event messages (`alert:FILE,…`), in the order given.
 * Options follow the files: `?pulses=NAME` names the series of pulses, `?clean=srt` keeps the pulses that IceCube's track
 * fits use.
 * @throws UsageError `source_missing`, or `source_unknown` for an option that there is not
 */
export async function openIceCubeFiles(spec: string, kind: Kind, rest: string): Promise<EventSource> {
  const [list, query = ''] = splitOnce(rest, '?')
  const options = toOptions(spec, query)
  const files = await expandList(list, kind)
  return {
    spec,
    count: async () => (kind === 'alert' ? files.length : undefined),
    hasEnd: true,
    read: (readOptions) => readFiles({ spec, kind, files, options }, readOptions),
  }
}

function splitOnce(text: string, mark: string): [string, string?] {
  const at = text.lastIndexOf(mark)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

function toOptions(spec: string, query: string): I3Options {
  const given = new URLSearchParams(query)
  for (const name of given.keys()) {
    if (name !== 'pulses' && name !== 'clean')
      throw new UsageError(
        'source_unknown',
        `source "${spec}" has no option "${name}"; there are pulses=NAME and clean=srt`,
      )
  }
  const clean = given.get('clean')
  if (clean !== null && clean !== 'srt')
    throw new UsageError(
      'source_unknown',
      `source "${spec}": clean=${clean} is not known; there is clean=srt`,
    )
  return { pulses: given.get('pulses') ?? undefined, clean: clean === 'srt' }
}

interface IceCubeFiles {
  readonly spec: string
  readonly kind: Kind
  readonly files: readonly string[]
  readonly options: I3Options
}

const resumeSchema = z.strictObject({
  /** Index of the file in the list. */
  file: z.int().min(0),
  /** Its size, so that another file is not taken for it. */
  bytes: z.int().min(0),
  /** Events of it that have been given. */
  events: z.int().min(0),
})

async function* readFiles(
  { spec, kind, files, options }: IceCubeFiles,
  { eventsMax, resume, signal }: SourceReadOptions,
): AsyncGenerator<SourceChunk> {
  const start = resume === undefined ? undefined : readResume(resumeSchema, resume, spec)
  for (let file = start?.file ?? 0; file < files.length; file++) {
    const path = files[file]
    const { size } = await stat(path)
    const skip = file === start?.file ? start.events : 0
    if (skip > 0 && size !== start?.bytes)
      throw new UsageError(
        'source_unreadable',
        `${spec}: the run stopped in ${path}, which had ${start?.bytes} bytes and has ${size} now; put it back, or begin another run with --run NAME`,
      )
    let given = 0
    const chunk = new ChunkBuilder(path)
    const take = () => ({ ...chunk.take(), resume: JSON.stringify({ file, bytes: size, events: given }) })
    for await (const event of eventsOf(path, kind, options)) {
      if (signal.aborted) return
      if (given++ < skip) continue
      chunk.add(event)
      if (chunk.size >= eventsMax || chunk.pulses >= CHUNK_PULSES_MAX) yield take()
    }
    if (chunk.size > 0) yield take()
  }
}

/** @throws UsageError `source_unreadable` naming the file, after the events before the fault */
async function* eventsOf(
  path: string,
  kind: Kind,
  options: I3Options,
): AsyncGenerator<I3Event | UnreadableEvent> {
  try {
    yield* readI3Events(
      kind === 'i3' ? readFrames(readDecompressed(path)) : await framesOfMessage(path),
      options,
    )
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new UsageError('source_unreadable', `${path}: ${cause.message}`, { cause })
  }
}

async function framesOfMessage(path: string): Promise<readonly Frame[]> {
  const { size } = await stat(path)
  if (size > MESSAGE_BYTES_MAX)
    throw new FormatError(`${size} bytes; a message has at most ${MESSAGE_BYTES_MAX}`)
  return readMessage(await readFile(path)).frames
}

const SUB_EVENTS_MAX = 127n

/**
 * One number for run, event and sub-event: run × 2³⁹ + event × 2⁷ + sub-event. Runs have 6 digits and events 32 bits, so that
 * the number fits 63 bits.
 */
export function toEventId({ run, event, subEvent }: EventIdentity): bigint {
  const sub = BigInt(subEvent)
  return (
    (BigInt(run & 0xff_ffff) << 39n) | (BigInt(event) << 7n) | (sub > SUB_EVENTS_MAX ? SUB_EVENTS_MAX : sub)
  )
}

/** One event as columns, pulses in order of time. */
interface EventColumns {
  readonly event: I3Event
  readonly rows: Uint32Array
  readonly sensorIds: Uint16Array
}

class ChunkBuilder {
  readonly #path: string
  #events: EventColumns[] = []
  #rejected: RejectedEvent[] = []
  pulses = 0

  constructor(path: string) {
    this.#path = path
  }

  get size(): number {
    return this.#events.length + this.#rejected.length
  }

  add(event: I3Event | UnreadableEvent): void {
    if (!isReadable(event)) {
      this.#reject(event.identity, 'source_value_invalid', event.reason)
      return
    }
    const columns = this.#columnsOf(event)
    if (columns === undefined) return
    this.#events.push(columns)
    this.pulses += columns.rows.length
  }

  take(): Omit<SourceChunk, 'resume'> {
    const chunk = { events: toBatch(this.#events, this.pulses), rejected: this.#rejected }
    this.#events = []
    this.#rejected = []
    this.pulses = 0
    return chunk
  }

  #reject(identity: EventIdentity | undefined, code: RejectedEvent['code'], reason: string): void {
    const name = identity ? `run ${identity.run} event ${identity.event}: ` : ''
    this.#rejected.push({
      eventId: identity && toEventId(identity),
      code,
      message: `${this.#path}: ${name}${reason}`,
    })
  }

  /** Undefined for an event that is rejected. Pulses of IceTop are left out. */
  #columnsOf(event: I3Event): EventColumns | undefined {
    const { keys, starts, times } = event.pulses
    const sensorOf = new Uint16Array(times.length)
    const rows = new Uint32Array(times.length)
    let count = 0
    for (const [channel, key] of keys.entries()) {
      const named = unpackKey(key)
      if (isIceTop(named)) continue
      const sensor = toSensorId(named)
      if (sensor === undefined) {
        const reason = `channel ${nameOfKey(key)} (string, module, photomultiplier) is not one of IceCube-86`
        this.#reject(event.identity, 'sensor_id_unknown', reason)
        return undefined
      }
      for (let row = starts[channel]; row < starts[channel + 1]; row++) {
        rows[count++] = row
        sensorOf[row] = sensor
      }
    }
    const ordered = rows.subarray(0, count).sort((a, b) => times[a] - times[b] || a - b)
    return { event, rows: ordered, sensorIds: Uint16Array.from(ordered, (row) => sensorOf[row]) }
  }
}

function toBatch(events: readonly EventColumns[], pulses: number): EventBatch {
  const hasTruth = events.some(({ event }) => event.truth !== undefined)
  const hasReference = events.some(({ event }) => event.reference !== undefined)
  const batch = allocateEvents(events.length, pulses, { hasTruth, hasReference, hasUtc: true })
  let at = 0
  for (const [i, { event, rows, sensorIds }] of events.entries()) {
    batch.eventIds[i] = toEventId(event.identity)
    batch.sensorIds.set(sensorIds, at)
    for (const row of rows) {
      batch.times[at] = event.pulses.times[row]
      batch.charges[at] = event.pulses.charges[row]
      batch.auxiliary[at] = (event.pulses.flags[row] & PULSE_FLAG.localCoincidence) === 0 ? 1 : 0
      at++
    }
    batch.offsets[i + 1] = at
    if (batch.utc) batch.utc[i] = event.utcNs
    if (batch.reference && event.reference) {
      batch.reference.azimuth[i] = event.reference.azimuth
      batch.reference.zenith[i] = event.reference.zenith
    }
    if (batch.truth && event.truth) {
      batch.truth.azimuth[i] = event.truth.azimuth
      batch.truth.zenith[i] = event.truth.zenith
    }
  }
  return batch
}
