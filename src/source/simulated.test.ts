import { describe, expect, it } from 'vitest'
import { UsageError } from '../errors.ts'
import type { EventBatch } from '../event/event-batch.ts'
import { Simulator, simulateEvents } from '../simulator/simulate.ts'
import { openSimulated } from './simulated.ts'
import { simulateInWorkers } from './simulation.ts'
import type { SourceChunk } from './source.ts'

async function readChunks(
  spec: string,
  chunks: number,
  options: { eventsMax?: number; resume?: string; workers?: number } = {},
): Promise<SourceChunk[]> {
  const { eventsMax = 16, resume, workers = 1 } = options
  const got: SourceChunk[] = []
  const signal = new AbortController().signal
  const source = openSimulated(spec, { workers })
  for await (const chunk of source.read({ eventsMax, signal, ...(resume !== undefined && { resume }) })) {
    got.push(chunk)
    if (got.length === chunks) break
  }
  return got
}

/** Chunks of the same events cut elsewhere hold the same pulses. */
function join(chunks: readonly SourceChunk[]): unknown[] {
  return chunks.flatMap(({ events }) => pulsesOf(events))
}

function pulsesOf(events: EventBatch): unknown[] {
  return Array.from(events.eventIds, (id, i) => {
    const [from, to] = [events.offsets[i], events.offsets[i + 1]]
    const columns = [events.sensorIds, events.times, events.charges, events.auxiliary]
    return [id, events.truth?.zenith[i], ...columns.map((column) => [...column.subarray(from, to)])]
  })
}

describe('openSimulated()', () => {
  it('gives the events of the simulator, made in a thread', async () => {
    const chunks = await readChunks('sim:5', 3)
    expect(chunks.map(({ events }) => events.eventIds.length)).toEqual([16, 16, 16])
    expect(join(chunks)).toEqual(pulsesOf(simulateEvents(5, 0, 48)))
  })

  it('resumes after a chunk with the next event', async () => {
    const [first, second] = await readChunks('sim:5', 2)
    const [again] = await readChunks('sim:5', 1, { resume: first.resume })
    expect(join([again])).toEqual(join([second]))
    expect(again.resume).toBe(second.resume)
  })

  it('gives the same events in the same order whatever the number of threads', async () => {
    expect(join(await readChunks('sim:6', 4, { workers: 2 }))).toEqual(join(await readChunks('sim:6', 4)))
  })

  it('has seed 1 without a seed, and no end', async () => {
    const source = openSimulated('sim')
    expect(source.spec).toBe('sim:1')
    expect(await source.count()).toBeUndefined()
  })

  it('gives muons of the atmosphere where its spec asks for them', async () => {
    expect(openSimulated('sim?kind=neutrinos').spec).toBe('sim:1')
    expect(openSimulated('sim:5?kind=muons').spec).toBe('sim:5?kind=muons')
    const muons = await readChunks('sim:5?kind=muons', 1)
    expect(join(muons)).toEqual(pulsesOf(new Simulator(5, { kind: 'muons' }).simulate(0, 16)))
  })

  it('draws ice and sensors for each event where its spec asks for it', async () => {
    expect(openSimulated('sim:5?systematics=0').spec).toBe('sim:5')
    expect(openSimulated('sim:5?systematics=1&kind=muons').spec).toBe('sim:5?kind=muons&systematics=1')
    const drawn = await readChunks('sim:5?systematics=1', 1)
    expect(join(drawn)).toEqual(pulsesOf(new Simulator(5, { systematics: true }).simulate(0, 16)))
  })

  it.each([
    'sim:5?systematics=2',
    'sim:',
    'sim:5?kind=',
    'sim:5?kind=rain',
    'sim:5?sort=muons',
    'sim:-1',
    'sim:x',
    'sim:1.5',
    'sim:9007199254740992',
    'simulator',
  ])('refuses %s', (spec) => {
    expect(() => openSimulated(spec)).toThrow(UsageError)
    expect(() => openSimulated(spec)).toThrow(`"${spec}"`)
  })

  it.each(['', 'x', '-1', '1.5'])('refuses to go on from "%s"', async (resume) => {
    await expect(readChunks('sim:1', 1, { resume })).rejects.toThrow(`"${resume}" is no place`)
  })

  it('ends quietly when aborted while it waits for events', async () => {
    const stop = new AbortController()
    const reading = openSimulated('sim:1')
      .read({ eventsMax: 256, signal: stop.signal })
      [Symbol.asyncIterator]()
    await reading.next()
    const next = reading.next()
    stop.abort()
    const results = [await next, await reading.next()]
    expect(results.at(-1)?.done).toBe(true)
  })

  it('does not begin when aborted before', async () => {
    const reading = openSimulated('sim:1').read({ eventsMax: 8, signal: AbortSignal.abort() })
    expect((await reading[Symbol.asyncIterator]().next()).done).toBe(true)
  })
})

describe('simulateInWorkers()', () => {
  it('ends at the wanted event, in a smaller last batch', async () => {
    const sizes: number[] = []
    for await (const batch of simulateInWorkers({ seed: 1, from: 10, to: 35, batchEvents: 10, workers: 2 })) {
      sizes.push(batch.eventIds.length)
    }
    expect(sizes).toEqual([10, 10, 5])
  })

  it('passes on what breaks in a thread', async () => {
    const broken = simulateInWorkers({ seed: -1, to: 5, batchEvents: 5 })
    await expect(broken.next()).rejects.toThrow('seed -1')
  })
})
