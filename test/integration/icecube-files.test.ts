import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readMessage } from '../../src/formats/alert/message.ts'
import { cleanPulses } from '../../src/formats/i3/clean.ts'
import { type I3Event, isReadable, readI3Events } from '../../src/formats/i3/events.ts'
import { framesOf, Inheritance } from '../../src/formats/i3/frames.ts'
import { readPulses } from '../../src/formats/i3/objects.ts'
import { type PulseSeries, unpackKey } from '../../src/formats/i3/pulse-series.ts'
import { sharedData } from '../support/shared-data.ts'

const alerts = sharedData('icecube-alerts')
const graphnet = sharedData('graphnet')

/** Pulses, channels, charge and pulses of hard local coincidence. */
function summaryOf({ times, keys, charges, flags }: PulseSeries) {
  const hlc = flags.reduce((sum, flag) => sum + (flag & 1), 0)
  const charge = charges.reduce((sum, value) => sum + value, 0)
  return [times.length, keys.length, Number(charge.toFixed(3)), hlc]
}

async function eventsOf(bytes: Uint8Array, pulses?: string): Promise<I3Event[]> {
  const events: I3Event[] = []
  for await (const event of readI3Events(framesOf(bytes), { pulses })) {
    if (!isReadable(event)) throw new Error(event.reason)
    events.push(event)
  }
  return events
}

describe.skipIf(alerts === undefined)('messages of real IceCube events', () => {
  const message = (file: string) => readMessage(readFileSync(join(alerts ?? '', file)))

  it.each([
    [
      '138632_31747601.json',
      [948, 216, 885.5, 870],
      [952, 948],
      [1.57163, 4.87687],
      '2023-12-02T17:08:24.093Z',
    ],
    [
      'run00136766-evt000007637140-GOLD.pkl',
      [1781, 321, 2875.625, 1657],
      [5615, 5601],
      [2.27946, 0.37533],
      '2022-06-24T16:13:16.405Z',
    ],
    [
      'event_HESE_2017-11-28.json',
      [3292, 265, 9691.25, 3177],
      [3307, 3293],
      [1.97332, 6.1173],
      '2017-11-29T10:50:39.183Z',
    ],
    [
      'hese_event_00.json',
      [635, 114, 2194.675, 557],
      [642, 635],
      [0.88173, 4.90692],
      '2016-05-09T15:04:09.922Z',
    ],
    [
      'hese_event_01.json',
      [410, 75, 2050.25, 353],
      [420, 413],
      [0.84592, 2.79888],
      '2016-05-09T15:26:41.988Z',
    ],
  ] as const)('%s holds the pulses, the reference and the time that were published', async (...expected) => {
    const [file, split, [all, inIce], [zenith, azimuth], utc] = expected
    const { frames } = message(file)
    const [event, ...others] = await Array.fromAsync(readI3Events(frames))
    expect(others).toEqual([])
    if (!isReadable(event)) throw new Error(event.reason)
    expect(summaryOf(event.pulses)).toEqual(split)
    expect(event.reference?.zenith).toBeCloseTo(zenith, 4)
    expect(event.reference?.azimuth).toBeCloseTo(azimuth, 4)
    const inheritance = new Inheritance()
    const whole = frames.map((frame) => inheritance.add(frame)).at(-1)
    const count = (key: string) => readPulses((name) => whole?.entry(name), key).times.length
    expect([count('I3SuperDST'), count('InIceDSTPulses')]).toEqual([all, inIce])
    // The clock of the pulses stands at 0 some microseconds before the event.
    const startMs = Date.parse(utc)
    expect(Number(event.utcNs / 1_000_000n)).toBeGreaterThanOrEqual(startMs - 1)
    expect(Number(event.utcNs / 1_000_000n)).toBeLessThanOrEqual(startMs)
    const times = [...event.pulses.times]
    expect(Math.min(...times)).toBeGreaterThan(5_000)
    expect(Math.max(...times)).toBeLessThan(30_000)
  })

  it('gives by cleaning the numbers of cleaned pulses that the message states', async () => {
    const { frames, cleaned } = message('138632_31747601.json')
    const [event] = await Array.fromAsync(readI3Events(frames))
    if (!isReadable(event)) throw new Error(event.reason)
    const [npulses, nch, qtot] = summaryOf(cleanPulses(event.pulses))
    expect({ nch, npulses, qtot }).toEqual(cleaned)
  })
})

describe.skipIf(graphnet === undefined)('I3 files of official simulations', () => {
  const file = (name: string) => join(graphnet ?? '', name)

  it.each([
    { name: 'oscNext_genie_level7_v02_first_5_frames', series: 'SRTInIcePulses', frames: 139 },
    { name: 'upgrade_genie_step4_first_5_frames', series: 'SplitInIcePulses', frames: 15 },
  ])('$name has the same pulses and truth as its database', async ({ name, series, frames }) => {
    const bytes = gunzipSync(readFileSync(file(`${name}.i3.gz`)))
    expect([...framesOf(bytes)]).toHaveLength(frames)
    const events = await eventsOf(bytes, series)
    using database = new DatabaseSync(file(`${name}.db`), { readOnly: true })
    const rows = database.prepare(`SELECT * FROM ${series} ORDER BY event_no, rowid`).all()
    const truth = database.prepare('SELECT * FROM truth ORDER BY event_no').all()
    expect(events).toHaveLength(truth.length)
    const found = events.flatMap(({ pulses }, event) =>
      [...pulses.keys].flatMap((key, channel) => {
        const { string, module, photomultiplier } = unpackKey(key)
        const [from, to] = [pulses.starts[channel], pulses.starts[channel + 1]]
        return Array.from({ length: to - from }, (_, i) => [
          event,
          string,
          module,
          photomultiplier,
          pulses.times[from + i],
          pulses.charges[from + i],
          pulses.flags[from + i] & 1,
        ])
      }),
    )
    expect(found).toEqual(
      rows.map((row) => [
        row['event_no'],
        row['string'],
        row['dom_number'],
        row['pmt_number'],
        row['dom_time'],
        Math.fround(Number(row['charge'])),
        row['hlc'],
      ]),
    )
    for (const [i, event] of events.entries()) {
      expect(event.truth?.zenith).toBeCloseTo(Number(truth[i]['zenith']), 12)
      expect(event.truth?.azimuth).toBeCloseTo(Number(truth[i]['azimuth']), 12)
      expect(event.identity.event).toBe(truth[i]['EventID'])
    }
  })
})
