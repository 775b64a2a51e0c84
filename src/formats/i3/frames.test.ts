import { describe, expect, it } from 'vitest'
import { frameBytes } from '../../../test/support/i3-file.ts'
import { FormatError } from '../format-error.ts'
import { type Frame, framesOf, Inheritance, readFrames } from './frames.ts'

/** An empty frame of stream I, as IceTray writes it. */
const EMPTY = Buffer.from('5b69335d060000000000490000000093 0e27ca'.replaceAll(' ', ''), 'hex')

const bytesOf = (text: string) => new TextEncoder().encode(text)

async function collect(chunks: Iterable<Uint8Array>): Promise<Frame[]> {
  const frames: Frame[] = []
  for await (const frame of readFrames(chunks)) frames.push(frame)
  return frames
}

describe('framesOf()', () => {
  it('reads the empty frame that IceTray writes', () => {
    const [frame, ...others] = framesOf(EMPTY)
    expect(frame.stream).toBe('I')
    expect(frame.entries.size).toBe(0)
    expect(others).toEqual([])
  })

  it('reads the entries of several frames', () => {
    const frames = [
      ...framesOf(Buffer.concat([EMPTY, frameBytes('Q', { a: bytesOf('x'), b: bytesOf('yz') })])),
    ]
    expect(frames.map(({ stream }) => stream)).toEqual(['I', 'Q'])
    expect([...frames[1].entries].map(([key, { blob }]) => [key, Buffer.from(blob).toString()])).toEqual([
      ['a', 'x'],
      ['b', 'yz'],
    ])
  })

  it('refuses a frame whose checksum is wrong, when it is used', () => {
    const bytes = Buffer.from(frameBytes('Q', { a: bytesOf('x') }))
    bytes[bytes.length - 5] ^= 1
    const [frame] = framesOf(bytes)
    expect(() => frame.entries).toThrow(/checksum of the frame at byte 0/)
  })

  it.each([
    ['another file', bytesOf('PAR1 and more than fifteen bytes'), /no I3 frame begins at byte 0/],
    ['another version', Buffer.from('5b69335d07000000000049000000000000000000', 'hex'), /has version 7/],
    ['a file that ends within a frame', EMPTY.subarray(0, 18), /ends within the frame at byte 0/],
    [
      'too many entries',
      Buffer.from('5b69335d06000000000049ffffff7f00000000', 'hex'),
      /claims 2147483647 entries/,
    ],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => [...framesOf(bytes)]).toThrow(FormatError)
    expect(() => [...framesOf(bytes)]).toThrow(message)
  })
})

describe('readFrames()', () => {
  it('gives the same frames for pieces of any size', async () => {
    const bytes = Buffer.concat([EMPTY, frameBytes('Q', { a: bytesOf('abc') }), frameBytes('P', {})])
    for (const size of [1, 7, 64, 1000]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      )
      const frames = await collect(pieces)
      expect(frames.map(({ stream }) => stream)).toEqual(['I', 'Q', 'P'])
      expect(Buffer.from(frames[1].entries.get('a')?.blob ?? []).toString()).toBe('abc')
    }
  })

  it('gives the frames before the one at which the file ends', async () => {
    const seen: string[] = []
    const cut = Buffer.concat([EMPTY, frameBytes('Q', { a: bytesOf('abc') }).subarray(0, 30)])
    await expect(async () => {
      for await (const { stream } of readFrames([cut])) seen.push(stream)
    }).rejects.toThrow(/ends within the frame at byte 19/)
    expect(seen).toEqual(['I'])
  })
})

describe('Inheritance', () => {
  const [q1, p1, q2, p2] = framesOf(
    Buffer.concat([
      frameBytes('Q', { both: bytesOf('q1'), first: bytesOf('q1') }),
      frameBytes('P', { both: bytesOf('p1'), own: bytesOf('p1') }),
      frameBytes('Q', { both: bytesOf('q2') }),
      frameBytes('P', {}),
    ]),
  )

  it('gives a physics frame the entries of the DAQ frame before it, its own going before', () => {
    const inheritance = new Inheritance()
    inheritance.add(q1)
    const first = inheritance.add(p1)
    const text = (entry: { blob: Uint8Array } | undefined) => entry && Buffer.from(entry.blob).toString()
    expect(text(first.entry('both'))).toBe('p1')
    expect(text(first.ofDaq('both'))).toBe('q1')
    expect(first.keys().sort()).toEqual(['both', 'first', 'own'])
    inheritance.add(q2)
    const second = inheritance.add(p2)
    expect(text(second.entry('both'))).toBe('q2')
    expect(second.entry('first')).toBeUndefined()
    expect(second.entry('own')).toBeUndefined()
  })
})
