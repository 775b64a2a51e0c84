import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { frameBytes, headerBlob, makeI3File, particleBlob, pulseMapBlob } from '../../test/support/i3-file.ts'
import { toEventId } from './icecube-files.ts'
import { openSource } from './open.ts'
import type { SourceChunk } from './source.ts'

const signal = new AbortController().signal

function folderOf(t: TestContext, files: Readonly<Record<string, Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-i3-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes)
  return folder
}

async function chunksOf(spec: string, eventsMax = 256, resume?: string): Promise<SourceChunk[]> {
  const source = await openSource(spec)
  return Array.fromAsync(source.read({ eventsMax, signal, ...(resume !== undefined && { resume }) }))
}

const idsOf = (chunks: readonly SourceChunk[]) => chunks.flatMap(({ events }) => [...events.eventIds])
const id = (event: number, run = 1, subEvent = 0) => toEventId({ run, subrun: 0, event, subEvent })

describe('i3: source', () => {
  it('reads the events of several files in order, compressed or not', async (t) => {
    const folder = folderOf(t, { a: makeI3File(3), b: makeI3File(2, { compressed: true }) })
    const chunks = await chunksOf(`i3:${folder}/a,${folder}/b`)
    expect(idsOf(chunks)).toEqual([id(1), id(2), id(3), id(1), id(2)])
    const [{ events }] = chunks
    expect(events.truth?.zenith[1]).toBe(1)
    expect(events.truth?.azimuth[1]).toBe(2)
    expect(events.reference).toBeUndefined()
    expect(events.utc?.[0]).toBe(BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n + 1_000_000_000n)
  })

  it('gives the reference of each event apart from truth, and none where the file has no fit', async (t) => {
    const frames = [1, 2].flatMap((event) => [
      frameBytes('Q', { I3EventHeader: headerBlob({ event }) }),
      frameBytes('P', {
        I3EventHeader: headerBlob({ event, subEventStream: 'InIceSplit' }),
        InIcePulses: pulseMapBlob([[[1, 1, 0], [{ time: 100, charge: 1 }]]]),
        ...(event === 2 && { SplineMPE: particleBlob({ zenith: 1.25, azimuth: 4 }) }),
      }),
    ])
    const [{ events }] = await chunksOf(`i3:${folderOf(t, { a: Buffer.concat(frames) })}/a`)
    expect([...(events.reference?.azimuth ?? [])]).toEqual([Number.NaN, 4])
    expect([...(events.reference?.zenith ?? [])]).toEqual([Number.NaN, 1.25])
    expect(events.truth).toBeUndefined()
  })

  it('gives pulses in order of time, with sensors of IceCube-86 and soft ones as auxiliary, and no tank', async (t) => {
    const pulses = pulseMapBlob([
      [[1, 2, 0], [{ time: 300, charge: 2.5, flags: 4 }]],
      [
        [2, 1, 0],
        [
          { time: 100, charge: 1.5, flags: 1 },
          { time: 400, charge: 1, flags: 7 },
        ],
      ],
      [[2, 61, 0], [{ time: 200, charge: 9 }]],
    ])
    const file = Buffer.concat([
      frameBytes('Q', { I3EventHeader: headerBlob({ event: 1 }) }),
      frameBytes('P', {
        I3EventHeader: headerBlob({ event: 1, subEventStream: 'InIceSplit' }),
        InIcePulses: pulses,
      }),
    ])
    const [{ events }] = await chunksOf(`i3:${folderOf(t, { a: file })}/a`)
    expect([...events.sensorIds]).toEqual([60, 1, 60])
    expect([...events.times]).toEqual([100, 300, 400])
    expect([...events.charges]).toEqual([1.5, 2.5, 1])
    expect([...events.auxiliary]).toEqual([0, 1, 0])
    expect(events.truth).toBeUndefined()
  })

  it('resumes after any chunk as if it had not stopped', async (t) => {
    const folder = folderOf(t, { a: makeI3File(5), b: makeI3File(4) })
    const spec = `i3:${folder}/a,${folder}/b`
    const chunks = await chunksOf(spec, 2)
    const all = idsOf(chunks)
    expect(all).toHaveLength(9)
    for (const [i, { resume }] of chunks.entries()) {
      const given = idsOf(chunks.slice(0, i + 1)).length
      expect(idsOf(await chunksOf(spec, 3, resume))).toEqual(all.slice(given))
    }
  })

  it('rejects an event of another detector by name, and continues with the next', async (t) => {
    const physics = (event: number, string: number) => [
      frameBytes('Q', { I3EventHeader: headerBlob({ event }) }),
      frameBytes('P', {
        I3EventHeader: headerBlob({ event, subEventStream: 'InIceSplit' }),
        InIcePulses: pulseMapBlob([[[string, 7, 3], [{ time: 1, charge: 1 }]]]),
      }),
    ]
    const good = makeI3File(1)
    const folder = folderOf(t, { a: Buffer.concat([...physics(9, 87), good]) })
    const [{ events, rejected }] = await chunksOf(`i3:${folder}/a`)
    expect([...events.eventIds]).toEqual([id(1)])
    expect(rejected).toEqual([
      {
        eventId: id(9),
        code: 'sensor_id_unknown',
        message: `${folder}/a: run 1 event 9: channel (87, 7, 3) (string, module, photomultiplier) is not one of IceCube-86`,
      },
    ])
  })

  it('gives the events before the place where a file is damaged, then names the file', async (t) => {
    const folder = folderOf(t, { a: makeI3File(4).subarray(0, -20) })
    const source = await openSource(`i3:${folder}/a`)
    const ids: bigint[] = []
    const reading = async () => {
      for await (const { events } of source.read({ eventsMax: 1, signal })) ids.push(...events.eventIds)
    }
    await expect(reading()).rejects.toThrow(/\/a: the file ends within the frame at byte \d+/)
    expect(ids).toEqual([id(1), id(2), id(3)])
  })

  it('keeps run, event and sub-event apart in the id', () => {
    const ids = [id(1), id(2), id(1, 2), id(1, 1, 1), id(0xffff_ffff, 999_999, 127), id(1, 999_999)]
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.every((value) => value >= 0n && value < 2n ** 63n)).toBe(true)
  })

  it.each([
    ['?pulse=InIcePulses', /has no option "pulse"; there are pulses=NAME and clean=srt/],
    ['?clean=yes', /clean=yes is not known; there is clean=srt/],
  ])('refuses the option %s', async (query, message) => {
    await expect(openSource(`i3:file${query}`)).rejects.toThrow(message)
  })

  it('names a file that is not there', async () => {
    await expect(openSource('i3:/nowhere/file.i3')).rejects.toThrow('i3: /nowhere/file.i3: no such file')
  })
})

describe('alert: source', () => {
  it('names a file that is no message', async (t) => {
    const folder = folderOf(t, { a: new TextEncoder().encode('{}') })
    await expect(chunksOf(`alert:${folder}/a`)).rejects.toThrow(/\/a: value is missing or no dictionary/)
  })
})
