import { describe, expect, it } from 'vitest'
import {
  frameBytes,
  headerBlob,
  makeI3File,
  maskBlob,
  particleBlob,
  pulseMapBlob,
} from '../../../test/support/i3-file.ts'
import { framesOf } from './frames.ts'
import { FrameCounter } from './survey.ts'

function surveyOf(bytes: Uint8Array) {
  const counter = new FrameCounter()
  for (const frame of framesOf(bytes)) counter.add(frame)
  return counter.survey()
}

const physics = (event: number, entries: Readonly<Record<string, Uint8Array>>, splitter = 'InIceSplit') =>
  frameBytes('P', { I3EventHeader: headerBlob({ event, subEventStream: splitter, run: 7 }), ...entries })
const daq = (event: number, entries: Readonly<Record<string, Uint8Array>> = {}) =>
  frameBytes('Q', { I3EventHeader: headerBlob({ event, run: 7 }), ...entries })
const pulse = { time: 10_000, charge: 1 }

describe('FrameCounter', () => {
  it('counts frames, events, splitters, truth and pulses, and gives ranges of run, event and time', () => {
    const survey = surveyOf(makeI3File(3))
    expect(survey).toMatchObject({
      frames: [
        { name: 'I', count: 1 },
        { name: 'Q', count: 3 },
        { name: 'P', count: 3 },
      ],
      events: 3,
      leftOut: 0,
      broken: { count: 0, reasons: [] },
      splitters: [{ name: 'InIceSplit', count: 3 }],
      mostSubEvents: 1,
      runs: { from: 1, to: 1 },
      eventNumbers: { from: 1, to: 3 },
      truth: [{ name: 'I3MCTree', count: 3 }],
      reference: [],
      fits: [],
      otherChannels: { count: 0, isCut: false, examples: [], events: 0 },
    })
    const startNs = BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n
    expect(survey.utcNs).toEqual({ from: startNs + 1_000_006_000n, to: startNs + 3_000_016_000n })
    // Twelve channels of two pulses; the mask leaves out the first channel.
    const [whole, split] = survey.series
    expect(whole).toMatchObject({ name: 'InIcePulses', frames: 3, pulses: 72, mostPulses: 24, eventsRead: 0 })
    expect(split).toMatchObject({ name: 'SplitInIcePulses', frames: 3, pulses: 66, eventsRead: 3 })
  })

  it('tells pulses of IceTop and of channels outside IceCube-86 from those in its ice', () => {
    const pulses = pulseMapBlob([
      [[1, 1, 0], [pulse]],
      [
        [1, 61, 0],
        [pulse, { time: 10_001, charge: 1 }],
      ],
      [[87, 3, 5], [pulse]],
      [[93, 1, 0], [pulse]],
    ])
    const survey = surveyOf(
      Buffer.concat([
        physics(1, { InIcePulses: pulses }),
        physics(2, { InIcePulses: pulseMapBlob([[[1, 1, 0], [pulse]]]) }),
      ]),
    )
    expect(survey.series).toMatchObject([{ frames: 2, pulses: 6, iceTopPulses: 2, otherPulses: 2 }])
    expect(survey.otherChannels).toEqual({
      count: 2,
      isCut: false,
      examples: ['(87, 3, 5)', '(93, 1, 0)'],
      strings: { from: 87, to: 93 },
      events: 1,
    })
  })

  it('counts sub-events of a DAQ frame, and leaves out frames that repeat one', () => {
    const pulses = { InIcePulses: pulseMapBlob([[[1, 1, 0], [pulse]]]) }
    const survey = surveyOf(
      Buffer.concat([
        daq(1, pulses),
        physics(1, {}),
        physics(1, {}),
        physics(1, {}, 'NullSplit'),
        daq(2, pulses),
        physics(2, {}),
      ]),
    )
    expect(survey).toMatchObject({ events: 3, leftOut: 1, mostSubEvents: 2 })
    expect(survey.splitters).toEqual([
      { name: 'InIceSplit', count: 3 },
      { name: 'NullSplit', count: 1 },
    ])
  })

  it('tells the reference from truth, and lists successful fits alone', () => {
    const fit = particleBlob({ zenith: 1, azimuth: 2 })
    const survey = surveyOf(
      physics(1, {
        InIcePulses: pulseMapBlob([[[1, 1, 0], [pulse]]]),
        MCInIcePrimary: fit,
        SplineMPE: fit,
        LineFit: fit,
        Failed: particleBlob({ zenith: Number.NaN, azimuth: 2 }),
      }),
    )
    expect(survey.truth).toEqual([{ name: 'MCInIcePrimary', count: 1 }])
    expect(survey.reference).toEqual([{ name: 'SplineMPE', count: 1 }])
    expect(survey.fits.map(({ name }) => name)).toEqual(['LineFit', 'SplineMPE'])
  })

  it('counts what cannot be read, with the reason, and the rest of the frame', () => {
    const survey = surveyOf(
      physics(1, {
        SplitInIcePulses: maskBlob('InIcePulses', [true], [[true, true]]),
        InIcePulses: pulseMapBlob([[[1, 1, 0], [pulse]]]),
        LineFit: particleBlob({ zenith: 1, azimuth: 2 }),
        Damaged: new Uint8Array(3),
      }),
    )
    expect(survey.events).toBe(0)
    expect(survey.broken.count).toBe(1)
    expect(survey.broken.reasons).toEqual([expect.stringMatching(/the mask of channel/)])
    expect(survey.series).toMatchObject([
      { name: 'InIcePulses', pulses: 1, brokenFrames: 0 },
      { name: 'SplitInIcePulses', frames: 1, pulses: 0, brokenFrames: 1 },
    ])
    expect(survey.fits).toEqual([{ name: 'LineFit', count: 1 }])
  })

  it('counts a frame whose checksum is wrong as broken', () => {
    const good = makeI3File(1)
    const bad = Uint8Array.from(good)
    bad[bad.length - 20] ^= 1
    expect(surveyOf(Buffer.concat([good, bad]))).toMatchObject({
      events: 1,
      broken: { count: 1, reasons: [expect.stringMatching(/the checksum/)] },
    })
  })

  it('keeps a bounded number of names', () => {
    const fit = particleBlob({ zenith: 1, azimuth: 2 })
    const fits = Object.fromEntries(Array.from({ length: 1_100 }, (_, i) => [`Fit${i}`, fit]))
    const survey = surveyOf(physics(1, fits))
    expect(survey.fits).toHaveLength(1_001)
    expect(survey.fits.find(({ name }) => name === '(other names)')?.count).toBe(100)
  })
})
