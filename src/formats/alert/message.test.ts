import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { frameBytes, headerBlob, pulseMapBlob } from '../../../test/support/i3-file.ts'
import { FormatError } from '../format-error.ts'
import { readMessage } from './message.ts'
import { longestString, readPlain } from './pickle.ts'

const DAQ = frameBytes('Q', {
  QI3EventHeader: headerBlob({ event: 1 }),
  InIceDSTPulses: pulseMapBlob([[[1, 1, 0], [{ time: 10_000, charge: 200.5 }]]]),
})

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** A frame as Python 2 pickled it: a byte string. */
function oldPickle(frame: Uint8Array): Buffer {
  const head = Buffer.from('\x80\x02cicecube.icetray\nI3Frame\nq\x01)R}T', 'latin1')
  return Buffer.concat([head, u32(frame.length), frame, Buffer.from('\x86b.', 'latin1')])
}

/** As Python 3 does: the bytes as latin-1 text, written as UTF-8. */
function newPickle(frame: Uint8Array): Buffer {
  const text = Buffer.from(Buffer.from(frame).toString('latin1'), 'utf8')
  const head = Buffer.from('\x80\x02cicecube._icetray\nI3Frame\nq\x01)R}c_codecs\nencode\nq\x03X', 'latin1')
  const tail = Buffer.concat([
    Buffer.from('q\x04X', 'latin1'),
    u32(6),
    Buffer.from('latin1\x86R\x86b.', 'latin1'),
  ])
  return Buffer.concat([head, u32(text.length), text, tail])
}

const packed = (pickle: Uint8Array) => deflateSync(pickle).toString('base64')

function messageOf(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ service: 'PFOnlineWriter', value }))
}

describe('readMessage()', () => {
  it.each([
    ['of 2016, whose frames are byte strings', { data: [['Q', packed(oldPickle(DAQ))]] }],
    [
      'of 2023, whose frames are text',
      {
        data: {
          frames: [
            ['G', 'not read'],
            ['Q', packed(newPickle(DAQ))],
          ],
        },
      },
    ],
  ])('reads the frames of a message %s', (_, value) => {
    const { frames } = readMessage(messageOf(value))
    expect(frames.map(({ stream }) => stream)).toEqual(['Q'])
    expect([...frames[0].entries.keys()]).toEqual(['QI3EventHeader', 'InIceDSTPulses'])
  })

  it('reads streams, fits and the numbers of cleaned pulses', () => {
    const reco = { splinempe: { zen: 1, azi: 2, rlogl: 3 }, broken: { zen: null, azi: 1 } }
    const data = { frames: [], reco, nch: 3, npulses: 4, qtot: 5.5 }
    expect(readMessage(messageOf({ data, streams: ['neutrino'] }))).toMatchObject({
      streams: ['neutrino'],
      fits: [{ name: 'splinempe', zenith: 1, azimuth: 2 }],
      cleaned: { nch: 3, npulses: 4, qtot: 5.5 },
    })
  })

  it.each([
    ['text that is no JSON', new TextEncoder().encode('{"value'), /neither a pickle nor JSON/],
    ['JSON without a value', messageOf([]), /value is missing|value.data is missing/],
    [
      'a frame that is no zlib',
      messageOf({ data: [['Q', 'AAAA']] }),
      /frame Q of the message cannot be unpacked/,
    ],
    [
      'a frame that is no frame',
      messageOf({ data: [['P', packed(oldPickle(new Uint8Array(40)))]] }),
      /no I3 frame begins/,
    ],
    [
      'too many frames',
      messageOf({ data: Array.from({ length: 65 }, () => ['G', '']) }),
      /65 frames in a message/,
    ],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => readMessage(bytes)).toThrow(FormatError)
    expect(() => readMessage(bytes)).toThrow(message)
  })

  it('refuses a frame that unpacks to more than its limit', () => {
    const bomb = deflateSync(Buffer.alloc(65 * 1024 * 1024)).toString('base64')
    expect(() => readMessage(messageOf({ data: [['Q', bomb]] }))).toThrow(/cannot be unpacked/)
  })
})

describe('pickles', () => {
  it('of a frame are stepped through and never carried out', () => {
    const harmful = Buffer.from('\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.', 'latin1')
    expect(Buffer.from(longestString(harmful)).toString()).toBe('true')
    expect(() => readPlain(harmful)).toThrow(/opcode 0x63 .* only plain values are/)
  })

  it('of plain values are read: numbers, text, lists, dictionaries, and values that are named twice', () => {
    // {'a': [1, -2, 1.5, None, True], 'b': the same list}
    const parts = [
      '\x80\x02}q\x00(X\x01\x00\x00\x00a]q\x01(K\x01J\xfe\xff\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00N\x88e',
      'X\x01\x00\x00\x00bh\x01u.',
    ]
    const plain = readPlain(Buffer.from(parts.join(''), 'latin1'))
    expect(plain).toEqual({ a: [1, -2, 1.5, null, true], b: [1, -2, 1.5, null, true] })
  })

  it('cannot change what other objects inherit', () => {
    const plain = readPlain(Buffer.from('\x80\x02}X\x09\x00\x00\x00__proto__}s.', 'latin1'))
    expect(Object.getPrototypeOf(plain)).toBe(Object.prototype)
    expect(Object.keys(plain as object)).toEqual(['__proto__'])
  })

  it.each([
    ['ends early', '\x80\x02X\xff\x00\x00\x00a', /ends early/],
    ['takes what is not there', '\x80\x02a.', /not there/],
    ['refers to what is not there', '\x80\x02h\x05.', /value 5, which is not there/],
    ['has an opcode that is not read', '\x80\x02\xff.', /opcode 0xff/],
  ])('are refused where one %s', (_, text, message) => {
    expect(() => readPlain(Buffer.from(text, 'latin1'))).toThrow(message)
  })
})
