import { deflateSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { readMessage } from '../../src/formats/alert/message.ts'
import { FormatError } from '../../src/formats/format-error.ts'
import { isReadable, readI3Events } from '../../src/formats/i3/events.ts'
import { type Frame, readFrames } from '../../src/formats/i3/frames.ts'
import { frameBytes, headerBlob, makeI3File, pulseMapBlob } from '../support/i3-file.ts'

const VARIANTS = 1_000
/** No variant may take longer, on a busy machine. */
const LONGEST_MS = 2_000

function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Bits flipped, bytes cut off, a length made huge, or a stretch repeated. */
function damaged(bytes: Uint8Array, random: () => number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const place = (room = 0) => Math.floor(random() * (copy.length - room))
  switch (Math.floor(random() * 4)) {
    case 0:
      for (let flips = 1 + Math.floor(random() * 8); flips > 0; flips--)
        copy[place()] ^= 1 << Math.floor(random() * 8)
      return copy
    case 1:
      return copy.subarray(0, place())
    case 2:
      new DataView(copy.buffer).setUint32(place(4), random() < 0.5 ? 0xffff_ffff : 0x7fff_fff0, true)
      return copy
    default: {
      const from = place()
      return Buffer.concat([copy.subarray(0, place()), copy.subarray(from, from + 200), copy.subarray(from)])
    }
  }
}

/** Events that were read, and events that were given with a reason. */
async function outcomeOf(frames: AsyncIterable<Frame> | Iterable<Frame>): Promise<string[]> {
  const outcomes: string[] = []
  for await (const event of readI3Events(frames)) outcomes.push(isReadable(event) ? 'read' : event.reason)
  return outcomes
}

it(`reads ${VARIANTS} damaged I3 files without a crash, a wrong event or a long wait`, async () => {
  const whole = makeI3File(5)
  expect(await outcomeOf(readFrames([whole]))).toEqual(['read', 'read', 'read', 'read', 'read'])
  const good = new Map<string, string>()
  for await (const event of readI3Events(readFrames([whole])))
    if (isReadable(event))
      good.set(String(event.identity.event), [...event.pulses.times, ...event.pulses.charges].join())
  const random = randomOf(1)
  let broken = 0
  for (let variant = 0; variant < VARIANTS; variant++) {
    const bytes = damaged(whole, random)
    const startMs = performance.now()
    try {
      for await (const event of readI3Events(readFrames([bytes]))) {
        if (!isReadable(event)) broken++
        // The checksum of each frame covers all that an event is made of.
        else
          expect([...event.pulses.times, ...event.pulses.charges].join()).toBe(
            good.get(String(event.identity.event)),
          )
      }
    } catch (error) {
      expect(error, `variant ${variant}`).toBeInstanceOf(FormatError)
      broken++
    }
    expect(performance.now() - startMs).toBeLessThan(LONGEST_MS)
  }
  expect(broken).toBeGreaterThan(VARIANTS / 2)
})

it(`reads ${VARIANTS} blobs that are damaged under a right checksum without a crash or a long wait`, async () => {
  const blob = pulseMapBlob([
    [
      [1, 1, 0],
      [
        { time: 10_000, charge: 1 },
        { time: 10_100, charge: 2 },
      ],
    ],
    [[2, 1, 0], [{ time: 10_050, charge: 1 }]],
  ])
  const random = randomOf(2)
  let refused = 0
  for (let variant = 0; variant < VARIANTS; variant++) {
    const header = headerBlob({ event: 1, subEventStream: 'InIceSplit' })
    const isHeader = random() < 0.3
    const file = Buffer.concat([
      frameBytes('Q', { I3EventHeader: headerBlob({ event: 1 }) }),
      frameBytes('P', {
        I3EventHeader: isHeader ? damaged(header, random) : header,
        InIcePulses: isHeader ? blob : damaged(blob, random),
      }),
    ])
    const startMs = performance.now()
    const outcomes = await outcomeOf(readFrames([file]))
    if (outcomes.some((outcome) => outcome !== 'read')) refused++
    expect(performance.now() - startMs).toBeLessThan(LONGEST_MS)
  }
  expect(refused).toBeGreaterThan(VARIANTS / 4)
})

it(`reads ${VARIANTS} damaged messages without a crash or a long wait`, async () => {
  const frame = frameBytes('Q', { QI3EventHeader: headerBlob({ event: 1 }) })
  const length = Buffer.alloc(4)
  length.writeUInt32LE(frame.length)
  const head = Buffer.from('\x80\x02cicecube.icetray\nI3Frame\nq\x01)R}T', 'latin1')
  const pickle = Buffer.concat([head, length, frame, Buffer.from('\x86b.', 'latin1')])
  const messageOf = (bytes: Uint8Array) => {
    const data = [['Q', deflateSync(bytes).toString('base64')]]
    return new TextEncoder().encode(JSON.stringify({ service: 'PFOnlineWriter', value: { data } }))
  }
  const random = randomOf(3)
  let refused = 0
  for (let variant = 0; variant < VARIANTS; variant++) {
    const isInner = random() < 0.5
    const bytes = isInner ? messageOf(damaged(pickle, random)) : damaged(messageOf(pickle), random)
    const startMs = performance.now()
    try {
      await outcomeOf(readMessage(bytes).frames)
    } catch (error) {
      expect(error, `variant ${variant}`).toBeInstanceOf(FormatError)
      refused++
    }
    expect(performance.now() - startMs).toBeLessThan(LONGEST_MS)
  }
  expect(refused).toBeGreaterThan(VARIANTS / 4)
})
