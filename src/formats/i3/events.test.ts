import { describe, expect, it } from 'vitest'
import {
  frameBytes,
  headerBlob,
  makeI3File,
  particleBlob,
  pulseMapBlob,
  treeBlob,
} from '../../../test/support/i3-file.ts'
import { type I3Event, type I3Options, readI3Events, type UnreadableEvent } from './events.ts'
import { framesOf } from './frames.ts'

async function eventsOf(bytes: Uint8Array, options: I3Options = {}): Promise<(I3Event | UnreadableEvent)[]> {
  const events: (I3Event | UnreadableEvent)[] = []
  for await (const event of readI3Events(framesOf(bytes), options)) events.push(event)
  return events
}

const PULSES = pulseMapBlob([[[1, 1, 0], [{ time: 10_000, charge: 1 }]]])

function fileOf(daq: Record<string, Uint8Array>, ...physics: Record<string, Uint8Array>[]): Uint8Array {
  return Buffer.concat([frameBytes('Q', daq), ...physics.map((entries) => frameBytes('P', entries))])
}

const split = (subEventStream: string, startTenths = 0n) =>
  headerBlob({ event: 5, subEventStream, startTenths })

describe('readI3Events()', () => {
  it('gives one event for each physics frame, with identity, time, pulses and truth', async () => {
    const events = await eventsOf(makeI3File(3))
    expect(events).toHaveLength(3)
    expect(events[1]).toMatchObject({
      identity: { run: 1, event: 2, subEvent: 0 },
      utcNs: BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n + 2_000_000_000n,
      series: 'SplitInIcePulses',
      truth: { name: 'I3MCTree', zenith: 1, azimuth: 2 },
    })
  })

  it('leaves out splits that repeat an event', async () => {
    const file = fileOf(
      { I3EventHeader: headerBlob({ event: 5 }), InIcePulses: PULSES },
      { I3EventHeader: split('NullSplit') },
      { I3EventHeader: split('InIceSplit') },
      { I3EventHeader: split('IceTopSplit') },
    )
    expect(await eventsOf(file)).toHaveLength(1)
  })

  it('moves the clock of a late sub-event by whole nanoseconds, and keeps the move in its time', async () => {
    const late = pulseMapBlob([[[1, 1, 0], [{ time: 73_324_881.25, charge: 1 }]]])
    const daq = { I3EventHeader: headerBlob({ event: 5 }), InIcePulses: late }
    const [event] = await eventsOf(fileOf(daq, { I3EventHeader: split('InIceSplit', 733_248_000n) }))
    const yearNs = BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n
    expect(event).toMatchObject({ utcNs: yearNs + 73_318_800n })
    expect('pulses' in event && [...event.pulses.times]).toEqual([73_324_881.25 - 73_318_800])
  })

  it('takes the clock of the DAQ frame, whose header alerts keep under another name', async () => {
    const daq = { QI3EventHeader: headerBlob({ event: 4, startTenths: 20n }), InIcePulses: PULSES }
    const [event] = await eventsOf(fileOf(daq, { I3EventHeader: split('InIceSplit', 60_020n) }))
    expect(event).toMatchObject({
      identity: { event: 5 },
      utcNs: BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n + 2n,
    })
  })

  it('reads the series that is asked for', async () => {
    const other = pulseMapBlob([[[2, 2, 0], [{ time: 1, charge: 2 }]]])
    const file = fileOf(
      { I3EventHeader: headerBlob({ event: 5 }), InIcePulses: PULSES, Mine: other },
      { I3EventHeader: split('Final') },
    )
    expect(await eventsOf(file, { pulses: 'Mine' })).toMatchObject([{ series: 'Mine' }])
    expect(await eventsOf(file, { pulses: 'None' })).toMatchObject([{ reason: 'the frame has no None' }])
  })

  it('names the series that a frame has where none is known', async () => {
    const file = fileOf(
      { I3EventHeader: headerBlob({ event: 5 }), Odd: PULSES },
      { I3EventHeader: split('InIceSplit') },
    )
    expect(await eventsOf(file)).toMatchObject([{ reason: 'the frame has no series of pulses; it has Odd' }])
  })

  it('takes the second particle where the head of a tree has no energy, and no truth of an empty tree', async () => {
    const head = { type: 0, zenith: 9, azimuth: 9, energy: Number.NaN }
    const daq = { I3EventHeader: headerBlob({ event: 5 }), InIcePulses: PULSES }
    const file = fileOf(
      daq,
      { I3EventHeader: split('InIceSplit'), I3MCTree: treeBlob([head, { type: 13, zenith: 1, azimuth: 2 }]) },
      { I3EventHeader: split('InIceSplit'), I3MCTree: treeBlob([]) },
    )
    expect(await eventsOf(file)).toMatchObject([{ truth: { zenith: 1, azimuth: 2 } }, { truth: undefined }])
  })

  it('keeps the reconstruction of the file as a reference, apart from truth', async () => {
    const fit = particleBlob({ zenith: 1.5, azimuth: 0.5 })
    const daq = { I3EventHeader: headerBlob({ event: 5 }), InIcePulses: PULSES }
    const [event] = await eventsOf(
      fileOf(daq, { I3EventHeader: split('InIceSplit'), l2_online_SplineMPE: fit }),
    )
    expect(event).toMatchObject({
      truth: undefined,
      reference: { name: 'l2_online_SplineMPE', zenith: 1.5, azimuth: 0.5 },
    })
  })

  it('gives a broken event with its reason and continues with the next', async () => {
    const daq = { I3EventHeader: headerBlob({ event: 5 }), InIcePulses: PULSES.subarray(0, 60) }
    const good = { I3EventHeader: headerBlob({ event: 6 }), InIcePulses: PULSES }
    const file = Buffer.concat([
      fileOf(daq, { I3EventHeader: split('InIceSplit') }),
      fileOf(good, { I3EventHeader: headerBlob({ event: 6, subEventStream: 'InIceSplit' }) }),
    ])
    expect(await eventsOf(file)).toMatchObject([
      { identity: { event: 5 }, reason: expect.stringMatching(/bytes/) },
      { identity: { event: 6 }, series: 'InIcePulses' },
    ])
  })
})
