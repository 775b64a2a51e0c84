import { zstdCompressSync } from 'node:zlib'

/** Writes frames and blobs as IceTray does, so that tests need no file of IceCube's. */

type Bytes = Uint8Array

function joined(parts: readonly Bytes[]): Bytes {
  return Buffer.concat(parts)
}

/** Writes one blob: it tracks which classes have had their preamble, and the number of objects. */
export class BlobWriter {
  readonly #parts: Bytes[] = []
  readonly #classes = new Map<string, boolean>()
  #objects = 0

  constructor(name: string, version: number) {
    this.begin('shared_ptr', { version: 1, tracked: false }).i16(2).text(name).object(name, version)
  }

  begin(name: string, { version = 0, tracked = false } = {}): this {
    if (!this.#classes.has(name)) {
      this.#classes.set(name, tracked)
      this.u8(tracked ? 1 : 0).u8(version)
    }
    if (this.#classes.get(name)) this.u32(this.#objects++)
    return this
  }

  /** An object of a class that derives from I3FrameObject. */
  object(name: string, version = 0): this {
    return this.begin(name, { version, tracked: true }).begin('I3FrameObject', { tracked: true })
  }

  #number(bytes: number, write: (view: DataView) => void): this {
    const part = new Uint8Array(bytes)
    write(new DataView(part.buffer))
    this.#parts.push(part)
    return this
  }

  raw(bytes: Bytes): this {
    this.#parts.push(bytes)
    return this
  }

  u8(value: number): this {
    return this.#number(1, (view) => view.setUint8(0, value))
  }

  u16(value: number): this {
    return this.#number(2, (view) => view.setUint16(0, value, true))
  }

  i16(value: number): this {
    return this.#number(2, (view) => view.setInt16(0, value, true))
  }

  u32(value: number): this {
    return this.#number(4, (view) => view.setUint32(0, value, true))
  }

  i32(value: number): this {
    return this.#number(4, (view) => view.setInt32(0, value, true))
  }

  i64(value: bigint): this {
    return this.#number(8, (view) => view.setBigInt64(0, value, true))
  }

  f32(value: number): this {
    return this.#number(4, (view) => view.setFloat32(0, value, true))
  }

  f64(value: number): this {
    return this.#number(8, (view) => view.setFloat64(0, value, true))
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value)
    return this.u32(bytes.length).raw(bytes)
  }

  bytes(): Bytes {
    return joined(this.#parts)
  }
}

export interface WrittenPulse {
  readonly time: number
  readonly charge: number
  readonly width?: number
  readonly flags?: number
}

export type WrittenKey = readonly [string: number, module: number, photomultiplier: number]

function writeKey(blob: BlobWriter, [string, module, photomultiplier]: WrittenKey): BlobWriter {
  return blob.begin('OMKey', { version: 2, tracked: true }).i32(string).u32(module).u8(photomultiplier)
}

export function pulseMapBlob(channels: readonly (readonly [WrittenKey, readonly WrittenPulse[]])[]): Bytes {
  const blob = new BlobWriter('I3RecoPulseSeriesMap', 0).begin('map').u32(channels.length)
  for (const [key, pulses] of channels) {
    writeKey(blob.begin('pair'), key).begin('vector<I3RecoPulse>').u32(pulses.length)
    for (const { time, charge, width = 8, flags = 1 } of pulses)
      blob.begin('I3RecoPulse', { version: 3, tracked: true }).f64(time).f32(charge).f32(width).u8(flags)
  }
  return blob.bytes()
}

function writeBits(blob: BlobWriter, bits: readonly boolean[]): BlobWriter {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8))
  for (const [i, bit] of bits.entries()) if (bit) bytes[i >> 3] |= 1 << (i & 7)
  return blob
    .begin('bitmask')
    .u16(bytes.length)
    .u8(8 * bytes.length - bits.length)
    .raw(bytes)
}

export function maskBlob(
  source: string,
  channels: readonly boolean[],
  pulses: readonly (readonly boolean[])[],
): Bytes {
  const blob = writeBits(new BlobWriter('I3RecoPulseSeriesMapMask', 2).text(source), channels)
  blob.begin('vector<bitmask>').u32(pulses.length)
  for (const bits of pulses) writeBits(blob, bits)
  return blob.bytes()
}

export function unionBlob(keys: readonly string[]): Bytes {
  const blob = new BlobWriter('I3RecoPulseSeriesMapUnion', 0).begin('vector<string>').u32(keys.length)
  for (const key of keys) blob.text(key)
  return blob.bytes()
}

export interface WrittenHeader {
  readonly run?: number
  readonly event: number
  readonly subEvent?: number
  readonly subEventStream?: string
  readonly year?: number
  readonly startTenths?: bigint
}

export function headerBlob(header: WrittenHeader): Bytes {
  const { run = 1, event, subEvent = 0, subEventStream = '', year = 2026, startTenths = 0n } = header
  const blob = new BlobWriter('I3EventHeader', 3)
    .u32(run)
    .u32(0)
    .u32(event)
    .i32(20)
    .u32(subEvent)
    .text(subEventStream)
  for (const tenths of [startTenths, startTenths + 100_000n]) blob.object('I3Time').i32(year).i64(tenths)
  return blob.bytes()
}

export interface WrittenParticle {
  readonly type?: number
  readonly zenith: number
  readonly azimuth: number
  readonly energy?: number
  readonly isInIce?: boolean
}

function writeParticle(blob: BlobWriter, particle: WrittenParticle): BlobWriter {
  const { type = 14, zenith, azimuth, energy = 1000, isInIce = true } = particle
  blob.i32(0).i64(0n).i32(type).i32(0).i32(0)
  blob.object('I3Position').f64(1).f64(2).f64(3)
  blob.object('I3Direction').f64(zenith).f64(azimuth)
  return blob
    .f64(0)
    .f64(energy)
    .f64(Number.NaN)
    .f64(0.3)
    .i32(isInIce ? 20 : 0)
}

export function particleBlob(particle: WrittenParticle): Bytes {
  return writeParticle(new BlobWriter('I3Particle', 5), particle).bytes()
}

/** A tree whose particles are each the first child of the one before. */
export function treeBlob(particles: readonly WrittenParticle[]): Bytes {
  const blob = new BlobWriter('I3MCTree', 1)
  if (particles.length === 0) return blob.u32(0).bytes()
  const bits = particles.length + 1
  blob
    .u32(bits)
    .u32(1)
    .i64((1n << BigInt(particles.length)) - 1n)
  for (const particle of particles) writeParticle(blob.object('I3Particle', 5), particle)
  return blob.bytes()
}

/** One frame of version 6. */
export function frameBytes(stream: string, entries: Readonly<Record<string, Bytes>>): Bytes {
  const covered = new PartWriter()
  covered.raw(new TextEncoder().encode(stream)).u32(Object.keys(entries).length)
  for (const [key, blob] of Object.entries(entries)) covered.text(key).text('any').u32(blob.length).raw(blob)
  const body = covered.bytes()
  const head = new PartWriter().raw(new TextEncoder().encode('[i3]')).u32(6).raw(Uint8Array.of(0, 0)).bytes()
  return joined([head, body, new PartWriter().u32(checksum(body)).bytes()])
}

class PartWriter {
  readonly #parts: Bytes[] = []

  raw(bytes: Bytes): this {
    this.#parts.push(bytes)
    return this
  }

  u32(value: number): this {
    const part = new Uint8Array(4)
    new DataView(part.buffer).setUint32(0, value, true)
    return this.raw(part)
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value)
    return this.u32(bytes.length).raw(bytes)
  }

  bytes(): Bytes {
    return joined(this.#parts)
  }
}

/** Written bit by bit, so that it shares no code with the reader. */
function checksum(bytes: Bytes): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1
  }
  return crc >>> 0
}

/** A file of simulated events: a DAQ frame and a physics frame each, with a map of pulses, a mask and a tree. */
export function makeI3File(events: number, { compressed = false } = {}): Bytes {
  const frames: Bytes[] = [frameBytes('I', {})]
  for (let event = 1; event <= events; event++) {
    const startTenths = BigInt(event) * 10_000_000_000n
    const channels = Array.from({ length: 12 }, (_, i) => {
      const key: WrittenKey = [1 + ((event + 7 * i) % 86), 1 + ((event + i) % 60), 0]
      const pulses = [0, 1].map((p) => ({
        time: 10_000 + 60 * i + 30 * p + event,
        charge: 0.5 + 0.25 * p,
        flags: i % 3 === 0 ? 1 : 4,
      }))
      return [key, pulses] as const
    })
    const sorted = [...new Map(channels.map((channel) => [channel[0].join(), channel])).values()].sort(
      ([[a, b]], [[c, d]]) => a - c || b - d,
    )
    frames.push(
      frameBytes('Q', {
        I3EventHeader: headerBlob({ event, startTenths }),
        InIcePulses: pulseMapBlob(sorted),
      }),
      frameBytes('P', {
        I3EventHeader: headerBlob({
          event,
          subEventStream: 'InIceSplit',
          startTenths: startTenths + 60_000n,
        }),
        I3MCTree: treeBlob([{ zenith: 1, azimuth: 2 }]),
        SplitInIcePulses: maskBlob(
          'InIcePulses',
          sorted.map((_, i) => i > 0),
          sorted.slice(1).map(() => [true, true]),
        ),
      }),
    )
  }
  const bytes = joined(frames)
  return compressed ? zstdCompressSync(bytes) : bytes
}
