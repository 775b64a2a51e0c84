import { describe, expect, it } from 'vitest'
import { BlobWriter } from '../../../test/support/i3-file.ts'
import { Archive } from './archive.ts'
import { type PulseSeries, unpackKey } from './pulse-series.ts'
import { readSuperDst } from './super-dst.ts'

interface Words {
  readonly stamps: readonly number[]
  readonly headers: readonly number[]
  /** In-ice soft and hard, IceTop soft and hard. */
  readonly widths: readonly (readonly number[])[]
  readonly extras?: readonly number[]
}

function readWords({ stamps, headers, widths, extras = [] }: Words): PulseSeries {
  const blob = new BlobWriter('I3SuperDST', 1)
  const list = (kind: string, words: readonly number[], write: (word: number) => void) => {
    blob.begin(kind).begin('SizeCodec').u8(words.length)
    for (const word of words) write(word)
  }
  list('stamp', stamps, (word) => blob.u16(word))
  list('header', headers, (word) => blob.u16(word))
  for (const codes of widths) list('byte', codes, (code) => blob.u8(code))
  list('byte', extras, (extra) => blob.u8(extra))
  const archive = new Archive(blob.bytes())
  return readSuperDst(archive, archive.beginEntry().version)
}

function rowsOf({ keys, starts, times, charges, widths, flags }: PulseSeries) {
  return [...keys].flatMap((key, channel) => {
    const { string, module } = unpackKey(key)
    return Array.from({ length: starts[channel + 1] - starts[channel] }, (_, i) => {
      const row = starts[channel] + i
      return [string, module, times[row], Number(charges[row].toFixed(3)), widths[row], flags[row]]
    })
  })
}

const STOP = 0x8000
const HLC = 0x4000

describe('readSuperDst()', () => {
  it('reads readouts with saturated times, as in a file of IceCube', () => {
    const series = readWords({
      stamps: [0x0cff, 0x0995, 0x99ff, 0x0904, 0x91ad],
      headers: [0xe1f1, 0x2e90],
      widths: [[0x33], [], [], []],
    })
    expect(rowsOf(series)).toEqual([
      [7, 50, 3988, 0.625, 8, 4],
      [7, 50, 6551, 1.275, 8, 4],
      [58, 17, 4417, 0.875, 8, 4],
    ])
  })

  it('adds words to a saturated charge, after those of the time', () => {
    const stamps = [STOP | HLC | (63 << 8) | 255, 0xffff, 1, 0xffff, 2]
    const [row] = rowsOf(readWords({ stamps, headers: [(7 << 13) | (1 << 6)], widths: [[], [0x10], [], []] }))
    expect(row).toEqual([
      1,
      1,
      -512 + 2047 + 0xffff + 1,
      Number(((63 + 0xffff + 2 + 0.5) * 0.05).toFixed(3)),
      1,
      7,
    ])
  })

  it('reads charges of IceTop from an extra byte each', () => {
    const [row] = rowsOf(
      readWords({
        stamps: [STOP | HLC | (63 << 8)],
        headers: [(2 << 6) | 60],
        widths: [[], [], [], [0x10]],
        extras: [1],
      }),
    )
    expect(row.slice(0, 4)).toEqual([2, 61, -512, Number((10 ** (((63 | 64) * 9) / 16_383 - 2)).toFixed(3))])
  })

  it('moves a pulse apart from one at the same time, and ends widths where the next pulse begins', () => {
    const stamps = [100, 8, STOP | 0].map((stamp) => stamp | (10 << 8))
    const series = readWords({ stamps, headers: [1 << 6], widths: [[0x33], [], [], []] })
    expect(rowsOf(series).map(([, , time, , width]) => [Number(time) + 512, width])).toEqual([
      [100, 4],
      [104, 4],
      [108, 8],
    ])
  })

  it('joins the counts of a run of widths over several bytes', () => {
    const pulses = 17
    const stamps = Array.from({ length: pulses }, (_, i) => (i === pulses - 1 ? STOP : 0) | 200)
    const series = readWords({ stamps, headers: [1 << 6], widths: [[0x11, 0x11], [], [], []] })
    expect([...series.widths]).toEqual(Array.from({ length: pulses }, () => 2))
  })

  it.each([
    [
      'stamps end within a readout',
      { stamps: [1], headers: [64], widths: [[0x11], [], [], []] },
      /ends within a readout/,
    ],
    [
      'widths are missing',
      { stamps: [STOP | 1], headers: [64], widths: [[], [], [], []] },
      /fewer widths than pulses/,
    ],
    [
      'extra bytes are missing',
      { stamps: [STOP], headers: [64 | 60], widths: [[], [], [0x11], []] },
      /fewer extra bytes/,
    ],
  ])('throws where %s', (_, words, message) => {
    expect(() => readWords(words)).toThrow(message)
  })
})
