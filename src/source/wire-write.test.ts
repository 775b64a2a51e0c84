import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { eventCount } from '../event/event-batch.ts'
import { decodeEventBatch } from '../event/wire.ts'
import { simulateEvents } from '../simulator/simulate.ts'
import { writeWire } from './wire-write.ts'

test('what is written are the events of the seed with their truth, in streams that follow each other', async () => {
  const parts: Uint8Array[] = []
  const to = new Writable({
    highWaterMark: 1,
    write(chunk, _encoding, done) {
      parts.push(chunk)
      setImmediate(done)
    },
  })
  const report = await writeWire({ to, events: 260, seed: 5 })
  const batches = parts.map(decodeEventBatch)
  expect(batches.map(eventCount)).toEqual([250, 10])
  const expected = simulateEvents(5, 250, 10)
  expect(batches[1].eventIds).toEqual(expected.eventIds)
  expect(batches[1].times).toEqual(expected.times)
  expect(batches[1].truth?.zenith).toEqual(expected.truth?.zenith)
  expect(report.events).toBe(260)
})

test('a reader that goes away ends the writing', async () => {
  const to = new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    },
  })
  expect((await writeWire({ to, events: 100_000, seed: 5 })).events).toBe(0)
})

test('any other failure of the writing is told', async () => {
  const to = new Writable({
    write(_chunk, _encoding, done) {
      done(new Error('no space'))
    },
  })
  await expect(writeWire({ to, events: 100_000, seed: 5 })).rejects.toThrow('no space')
})
