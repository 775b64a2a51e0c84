import { inflateSync } from 'node:zlib'
import { FormatError } from '../format-error.ts'
import { type Frame, framesOf } from '../i3/frames.ts'
import { longestString, readPlain } from './pickle.ts'

/** A direction that IceCube's own reconstruction found and put into the message, radians, where the neutrino came from. */
export interface MessageFit {
  readonly name: string
  readonly zenith: number
  readonly azimuth: number
}

/** One realtime event message of IceCube (service PFOnlineWriter). */
export interface AlertMessage {
  /** DAQ frame and physics frame, and others where the message has them. In order. */
  readonly frames: readonly Frame[]
  /** Letters of all its frames, also of those that are not read: geometry, calibration and detector status. */
  readonly letters: readonly string[]
  /** Names of the streams that chose the event, such as `neutrino` or `HESE`. */
  readonly streams: readonly string[]
  /** Reconstructions that the message lists beside its frames. */
  readonly fits: readonly MessageFit[]
  /** Numbers of its cleaned pulses, where the message says them: channels, pulses and charge. */
  readonly cleaned: { readonly nch: number; readonly npulses: number; readonly qtot: number } | undefined
}

export const MESSAGE_BYTES_MAX = 256 * 1024 * 1024
const FRAME_BYTES_MAX = 64 * 1024 * 1024
const FRAMES_MAX = 64
/** Frames that are needed. Geometry, calibration and detector status hold differences against files that are not there. */
const WANTED = new Set(['Q', 'P'])

/**
 * Reads a message in its outer form: JSON, or a pickle of the same dictionary, which is not unpickled but read value by
 * value.
 * @throws FormatError naming what is missing or damaged
 */
export function readMessage(bytes: Uint8Array): AlertMessage {
  const outer = toRecord(bytes[0] === 0x80 ? readPlain(bytes) : parseJson(bytes), 'the message')
  const value = toRecord(outer['value'], 'value')
  // heseEvent messages of 2016 and 2017 hold the list of frames itself.
  const data = Array.isArray(value['data'])
    ? { frames: value['data'] }
    : toRecord(value['data'], 'value.data')
  const frames = toList(data['frames'], 'value.data.frames')
  if (frames.length > FRAMES_MAX)
    throw new FormatError(`${frames.length} frames in a message; at most ${FRAMES_MAX} are read`)
  const { nch, npulses, qtot } = data as Record<string, unknown>
  const isCleaned = typeof nch === 'number' && typeof npulses === 'number' && typeof qtot === 'number'
  return {
    frames: frames.flatMap(toFrame),
    letters: frames.map((frame) => String(Array.isArray(frame) ? frame[0] : frame)),
    streams: Array.isArray(value['streams'])
      ? value['streams'].filter((name) => typeof name === 'string')
      : [],
    fits: toFits(data['reco']),
    cleaned: isCleaned ? { nch, npulses, qtot } : undefined,
  }
}

function toFrame(pair: unknown, index: number): Frame[] {
  const [stream, text] = Array.isArray(pair) ? pair : []
  if (typeof stream !== 'string' || typeof text !== 'string')
    throw new FormatError(`frame ${index} is not a pair of letter and text`)
  if (!WANTED.has(stream)) return []
  const packed = Buffer.from(text, 'base64')
  const frames = [...framesOf(longestString(inflate(packed, stream)))]
  if (frames.length !== 1)
    throw new FormatError(`frame ${stream} of the message holds ${frames.length} frames`)
  return frames
}

function inflate(packed: Uint8Array, stream: string): Uint8Array {
  try {
    return inflateSync(packed, { maxOutputLength: FRAME_BYTES_MAX })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new FormatError(`frame ${stream} of the message cannot be unpacked: ${reason}`)
  }
}

function toFits(reco: unknown): MessageFit[] {
  if (typeof reco !== 'object' || reco === null) return []
  return Object.entries(reco).flatMap(([name, fit]: [string, unknown]) => {
    if (typeof fit !== 'object' || fit === null || !('zen' in fit) || !('azi' in fit)) return []
    const { zen, azi } = fit
    const isDirection = typeof zen === 'number' && typeof azi === 'number' && Number.isFinite(zen + azi)
    return isDirection ? [{ name, zenith: zen, azimuth: azi }] : []
  })
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new FormatError(`the message is neither a pickle nor JSON: ${reason}`)
  }
}

function toRecord(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    throw new FormatError(`${name} is missing or no dictionary`)
  return value as Readonly<Record<string, unknown>>
}

function toList(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new FormatError(`${name} is missing or no list`)
  return value
}
