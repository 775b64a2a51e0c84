import { describe, expect, it } from 'vitest'
import {
  BlobWriter,
  headerBlob,
  maskBlob,
  particleBlob,
  pulseMapBlob,
  treeBlob,
  unionBlob,
} from '../../../test/support/i3-file.ts'
import { readHeader, readNumbers, readParticle, readParticles, readPulses, toUnixNs } from './objects.ts'
import { unpackKey } from './pulse-series.ts'

const entryOf = (blob: Uint8Array) => ({ type: 'any', blob })

/** Looks entries up by key. */
function frameOf(blobs: Readonly<Record<string, Uint8Array>>) {
  return (key: string) => (blobs[key] ? entryOf(blobs[key]) : undefined)
}

const pulse = (time: number, charge = 1, flags = 1) => ({ time, charge, flags })

const BASE = pulseMapBlob([
  [[-1, 1, 0], [pulse(5)]],
  [
    [1, 60, 0],
    [pulse(1), pulse(2, 2), pulse(3, 3)],
  ],
  [[87, 1, 23], [pulse(4, 4, 4)]],
])

describe('readPulses()', () => {
  it('reads a map of pulses: keys, times, charges, widths and flags', () => {
    const series = readPulses(frameOf({ a: BASE }), 'a')
    expect([...series.keys].map(unpackKey)).toEqual([
      { string: -1, module: 1, photomultiplier: 0 },
      { string: 1, module: 60, photomultiplier: 0 },
      { string: 87, module: 1, photomultiplier: 23 },
    ])
    expect([...series.starts]).toEqual([0, 1, 4, 5])
    expect([...series.times]).toEqual([5, 1, 2, 3, 4])
    expect([...series.charges]).toEqual([1, 1, 2, 3, 4])
    expect([...series.widths]).toEqual([8, 8, 8, 8, 8])
    expect([...series.flags]).toEqual([1, 1, 1, 1, 4])
  })

  it('applies a mask of a mask, which counts only the channels that are left', () => {
    const frame = frameOf({
      base: BASE,
      first: maskBlob('base', [false, true, true], [[true, false, true], [true]]),
      second: maskBlob('first', [true, true], [[false, true], [true]]),
    })
    expect([...readPulses(frame, 'first').times]).toEqual([1, 3, 4])
    expect([...readPulses(frame, 'second').times]).toEqual([3, 4])
  })

  it('takes an empty mask for no pulse, and leaves out a channel that keeps none', () => {
    const frame = frameOf({
      base: BASE,
      empty: maskBlob('base', [], []),
      none: maskBlob('base', [true, false, true], [[false], [true]]),
    })
    expect(readPulses(frame, 'empty').times).toHaveLength(0)
    const { keys, times } = readPulses(frame, 'none')
    expect([keys.length, ...times]).toEqual([1, 4])
  })

  it('joins series by channel and time', () => {
    const other = pulseMapBlob([
      [
        [1, 60, 0],
        [pulse(1.5), pulse(2)],
      ],
    ])
    const series = readPulses(frameOf({ a: BASE, b: other, both: unionBlob(['a', 'b']) }), 'both')
    expect([...series.starts]).toEqual([0, 1, 6, 7])
    expect([...series.times]).toEqual([5, 1, 1.5, 2, 2, 3, 4])
    expect([...series.charges]).toEqual([1, 1, 1, 2, 1, 3, 4])
  })

  it.each([
    ['is missing', {}, /has no a/],
    ['is no series', { a: headerBlob({ event: 1 }) }, /a is I3EventHeader, no series of pulses/],
    ['names itself', { a: maskBlob('a', [], []) }, /more than 16 masks/],
    ['names a missing series', { a: maskBlob('b', [], []) }, /has no b/],
    [
      'is a mask of other channels',
      { a: maskBlob('b', [true], [[true]]), b: BASE },
      /belongs to another series/,
    ],
    [
      'is a mask of other pulses',
      { a: maskBlob('b', [true, false, false], [[true, true]]), b: BASE },
      /is for 2 pulses; it has 1/,
    ],
    [
      'repeats a channel',
      {
        a: pulseMapBlob([
          [[1, 1, 0], []],
          [[1, 1, 0], []],
        ]),
      },
      /follows a higher one or itself/,
    ],
  ])('throws where the series %s', (_, blobs, message) => {
    expect(() => readPulses(frameOf(blobs), 'a')).toThrow(message)
  })

  it('believes no length that the blob cannot hold', () => {
    const blob = new BlobWriter('I3RecoPulseSeriesMap', 0).begin('map').u32(0x7fff_ffff).bytes()
    expect(() => readPulses(frameOf({ a: blob }), 'a')).toThrow(/exceed the 0 bytes left/)
  })
})

describe('readHeader()', () => {
  it('reads identity, splitter and time', () => {
    const blob = headerBlob({
      run: 138_632,
      event: 7,
      subEvent: 2,
      subEventStream: 'InIceSplit',
      startTenths: 5n,
    })
    expect(readHeader(entryOf(blob))).toEqual({
      run: 138_632,
      subrun: 0,
      event: 7,
      subEvent: 2,
      subEventStream: 'InIceSplit',
      start: { year: 2026, tenths: 5n },
      end: { year: 2026, tenths: 100_005n },
    })
  })
})

describe('toUnixNs()', () => {
  it.each([
    [2015, 156_383_990_000_000_000n, '2015-06-30T23:59:59Z', 0n],
    [2015, 156_384_000_000_000_000n, '2015-06-30T23:59:59Z', 0n],
    [2015, 156_384_010_000_000_000n, '2015-07-01T00:00:00Z', 0n],
    [2016, 111_998_499_229_131_710n, '2016-05-09T15:04:09Z', 922_913_171n],
    [2014, 108_790_874_074_372_530n, '2014-05-06T21:58:07Z', 407_437_253n],
    [2020, 130_612_472_805_656_709n, '2020-05-31T04:07:27Z', 280_565_670n],
    [2008, 316_224_000_000_000_000n, '2008-12-31T23:59:59Z', 0n],
  ])('turns the DAQ time of %d, %d into %s', (year, tenths, second, ns) => {
    expect(toUnixNs({ year, tenths })).toBe(BigInt(Date.parse(second)) * 1_000_000n + ns)
  })
})

describe('particles', () => {
  it('are read with direction, energy and place', () => {
    const particle = readParticle(entryOf(particleBlob({ type: -14, zenith: 1, azimuth: 2, energy: 5 })))
    expect(particle).toMatchObject({
      type: -14,
      zenith: 1,
      azimuth: 2,
      energyGev: 5,
      x: 1,
      y: 2,
      z: 3,
      isFitted: true,
    })
  })

  it('of a tree come in pre-order', () => {
    const blob = treeBlob([
      { zenith: 1, azimuth: 2 },
      { type: 13, zenith: 1.1, azimuth: 2.1 },
    ])
    expect(readParticles(entryOf(blob)).map(({ type, zenith }) => [type, zenith])).toEqual([
      [14, 1],
      [13, 1.1],
    ])
    expect(readParticles(entryOf(treeBlob([])))).toEqual([])
  })
})

describe('readNumbers()', () => {
  it('reads a map of numbers by name', () => {
    const blob = new BlobWriter('I3MapStringDouble', 0).begin('map').u32(2)
    blob.begin('pair').text('OneWeight').f64(2.5).begin('pair').text('InteractionType').f64(1)
    expect([...readNumbers(entryOf(blob.bytes()))]).toEqual([
      ['OneWeight', 2.5],
      ['InteractionType', 1],
    ])
  })
})
