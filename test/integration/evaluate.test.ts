import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answerEvents, assertSameEvents, type EvaluatedChunk } from '../../src/evaluation/evaluate.ts'
import { toJson } from '../../src/evaluation/report.ts'
import { openSubmission } from '../../src/evaluation/submission.ts'
import { type EventBatch, eventCount } from '../../src/event/event-batch.ts'
import type { Inference } from '../../src/inference/inferrer.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { openHttpInferrer } from '../../src/inference/remote/http.ts'
import { writeKaggle } from '../../src/source/kaggle-write.ts'
import { openSource } from '../../src/source/open.ts'
import { fakeModel } from '../support/fake-model.ts'
import { FaultyInferrer, onEvent, TestInferrer } from '../support/faulty-inferrer.ts'
import { frameBytes, headerBlob, particleBlob, pulseMapBlob } from '../support/i3-file.ts'
import { startNustream } from '../support/nustream.ts'
import { startServer } from '../support/start-server.ts'

let folder: string
let data: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nustream-evaluate-'))
  data = join(folder, 'data')
  await writeKaggle({ dir: data, events: 300, seed: 21, eventsPerFile: 150 })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Takes its time for each event. */
class SlowInferrer extends TestInferrer {
  readonly #msPerEvent: number

  constructor(msPerEvent: number) {
    super(1)
    this.#msPerEvent = msPerEvent
  }

  override async infer(batch: EventBatch): Promise<Inference> {
    await setTimeout(eventCount(batch) * this.#msPerEvent)
    return await super.infer(batch)
  }
}

const signal = new AbortController().signal
const open = () => openSource(`kaggle:${data}`)

/** stdout of `nustream evaluate`, which must succeed. */
async function evaluate(...args: string[]): Promise<string> {
  const process = startNustream(['evaluate', ...args])
  expect(await process.ended, process.stderr()).toBe(0)
  return process.stdout()
}

describe('answerEvents()', () => {
  it('keeps the answers in the order of the source', async () => {
    const chunks: EvaluatedChunk[] = []
    const onChunk = async (chunk: EvaluatedChunk) => void chunks.push(chunk)
    const inferrer = new TestInferrer(3)
    const { facts, answers } = await answerEvents({ source: await open(), inferrer, signal, onChunk })
    const ids = chunks.flatMap(({ eventIds }) => [...eventIds])
    expect(ids).toEqual(Array.from({ length: 300 }, (_, i) => BigInt(i)))
    expect(facts.pulses).toHaveLength(300)
    expect(answers).toMatchObject({ predicted: 300, failed: {} })
    expect(answers.error.every((error) => error >= 0 && error <= Math.PI)).toBe(true)
    expect([...new Set(facts.topology)].sort()).toEqual([1, 2, 3])
  })

  it('stops after as many events as are wanted', async () => {
    const { facts } = await answerEvents({
      source: await open(),
      inferrer: new TestInferrer(),
      eventsMax: 70,
      signal,
    })
    expect(facts.pulses).toHaveLength(70)
  })

  it.each(['fails', 'dies'] as const)(
    'names the one event on which the model %s, and answers its neighbours',
    async (fault) => {
      const failing = new FaultyInferrer(new TestInferrer(), onEvent(77, fault))
      const { answers } = await answerEvents({ source: await open(), inferrer: failing, signal })
      expect(answers).toMatchObject({ predicted: 299, failed: { model_failed: 1 } })
      expect(answers.failedExamples).toMatchObject([{ eventId: '77', code: 'model_failed' }])
      expect([...answers.error.keys()].filter((event) => Number.isNaN(answers.error[event]))).toEqual([77])
    },
  )

  it('gets its answers from a model server that is too slow for the whole chunk', async (test) => {
    const model = new SlowInferrer(5)
    const { url } = await startServer(test, { model })
    await using inferrer = await openHttpInferrer(url, { timeoutMs: 700 })
    const { answers } = await answerEvents({ source: await open(), inferrer, signal })
    expect(answers.predicted).toBe(300)
    expect(Math.max(...model.asked)).toBe(150)
    expect(Math.min(...model.asked)).toBeLessThan(100)
  })

  it('ends where the model server is too slow for a single event', async (test) => {
    const { url } = await startServer(test, { model: new SlowInferrer(300) })
    await using inferrer = await openHttpInferrer(url, { timeoutMs: 50 })
    const evaluating = answerEvents({ source: await open(), inferrer, signal, eventsMax: 4 })
    await expect(evaluating).rejects.toMatchObject({ code: 'model_unreachable' })
  })

  it('ends if the model server is unreachable', async () => {
    const away = new FaultyInferrer(new TestInferrer(), () => 'away')
    const evaluating = answerEvents({ source: await open(), inferrer: away, signal })
    await expect(evaluating).rejects.toMatchObject({ code: 'model_unreachable' })
  })

  it('ends with the reason where it is broken off', async () => {
    const stopping = new AbortController()
    const inferrer = fakeModel({ before: () => stopping.abort(new Error('enough')) })
    const evaluating = answerEvents({ source: await open(), inferrer, signal: stopping.signal })
    await expect(evaluating).rejects.toThrow('enough')
  })

  it('gives the line fit the error that it has', async () => {
    await using inferrer = await openLocalModel('linefit', { threads: 1 })
    const first = await answerEvents({ source: await open(), inferrer, signal })
    const again = await answerEvents({ source: await open(), inferrer, signal })
    expect(again.answers.error).toEqual(first.answers.error)
    assertSameEvents(first.facts, again.facts)
    const fewer = { ...again.facts, pulses: again.facts.pulses.subarray(1) }
    expect(() => assertSameEvents(first.facts, fewer)).toThrow(/the data changed between two models/)
  })
})

describe('nustream evaluate', () => {
  it('compares models, writes report and figures, and says the same each time', async () => {
    const out = join(folder, 'report')
    const models = ['--model', 'linefit', '--model', 'test/fixtures/models/icemix-axes']
    const line = await evaluate('--data', data, ...models, '--out', out, '--json')
    const report = JSON.parse(line)
    expect(report).toMatchObject({ formatVersion: 1, events: 300, eventsWithTruth: 300 })
    const [linefit, network] = report.models
    expect(linefit).toMatchObject({ label: 'linefit', events: 300, calibration: null })
    expect(linefit.meanAngularErrorIntervalRad[0]).toBeLessThan(linefit.meanAngularErrorRad)
    expect(linefit.byTopology).toHaveLength(3)
    expect(network.calibration.coverage50).toBeLessThan(0.4)
    expect(network.calibration.radius50.ratio).toBeGreaterThan(1)
    expect(report.differences).toMatchObject([{ model: 'linefit', against: 'icemix-axes', events: 300 }])
    expect(readdirSync(out).sort()).toEqual([
      'calibration.svg',
      'error-by-pulses.svg',
      'error-by-topology.svg',
      'error-by-zenith.svg',
      'error-cumulative.svg',
      'evaluation.json',
      'evaluation.svg',
      'evaluation.txt',
    ])
    for (const name of readdirSync(out).filter((each) => each.endsWith('.svg')))
      expect(readFileSync(join(out, name), 'utf8')).not.toMatch(/NaN|Infinity|undefined/)
    expect(JSON.parse(readFileSync(join(out, 'evaluation.json'), 'utf8'))).toEqual(report)
    const again = JSON.parse(await evaluate('--data', data, '--model', 'linefit', '--json'))
    const { eventsPerSecond: _speed, ...figures } = again.models[0]
    expect({ ...linefit, ...figures }).toEqual(linefit)
    expect(toJson(report)).toBe(toJson(JSON.parse(line)))
  })

  it('compares with references of an I3 file, and calls them no truth', async () => {
    const pulses = [10, 11, 12, 13].map((module, i) => {
      return [[20, module, 0], [{ time: 10_000 + 57 * i, charge: 1 }]] as const
    })
    const frames = [1, 2].map((event) =>
      frameBytes('P', {
        I3EventHeader: headerBlob({ event, subEventStream: 'InIceSplit' }),
        InIcePulses: pulseMapBlob(pulses),
        ...(event === 1 && { SplineMPE: particleBlob({ zenith: 0.25, azimuth: 1 }) }),
      }),
    )
    const file = join(folder, 'events.i3')
    writeFileSync(file, Buffer.concat(frames))
    const report = JSON.parse(await evaluate('--data', `i3:${file}`, '--model', 'linefit', '--json'))
    expect(report).toMatchObject({ events: 2, eventsWithTruth: 0, eventsWithReference: 1 })
    const [{ predicted, events, meanAngularErrorRad, reference }] = report.models
    expect({ predicted, events, meanAngularErrorRad }).toEqual({
      predicted: 2,
      events: 0,
      meanAngularErrorRad: null,
    })
    // The pulses go down the string, so that the particle came from above.
    expect(reference.events).toBe(1)
    expect(reference.medianRad).toBeCloseTo(0.25, 1)
    const table = await evaluate('--data', `i3:${file}`, '--model', 'linefit')
    expect(table).toMatch(/^angle to the reference \(not the truth\) +events +median +p90 +largest$/m)
    expect(table).toMatch(/^linefit +1 +1[34]\.\d+° +1[34]\.\d+° +1[34]\.\d+°$/m)
  })

  it('writes a submission with every event', async () => {
    const file = join(folder, 'submission.csv')
    await evaluate('--data', data, '--model', 'linefit', '--submission', file, '--events', '300')
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    expect(lines[0]).toBe('event_id,azimuth,zenith')
    expect(lines).toHaveLength(301)
    expect(existsSync(`${file}.partial`)).toBe(false)
  })

  it('looks at every model before it asks the first', async () => {
    const missing = startNustream([
      'evaluate',
      '--data',
      data,
      '--model',
      'linefit',
      '--model',
      'no-such-model',
    ])
    expect(await missing.ended).toBe(1)
    expect(missing.stderr()).toContain('no-such-model')
    expect(missing.stdout()).toBe('')
  })

  it('says in one sentence that a report or a submission cannot be written, before it reads an event', async (t) => {
    const file = join(folder, 'a-file')
    writeFileSync(file, '')
    const wrong = [
      ['--out', file, `nustream: --out ${file} is not writable`],
      ['--out', join(file, 'below'), 'is not writable'],
      ['--submission', folder, `nustream: --submission ${folder} cannot be written (it is a folder)`],
      ['--submission', join(file, 'below.csv'), 'cannot be written'],
    ] as const
    for (const [flag, path, says] of wrong) {
      // Without an end: whoever read it would never come back.
      const args = ['evaluate', '--data', 'sim:3', '--events', '1000000000', '--model', 'linefit', flag, path]
      const { ended, stderr, stdout } = startNustream(args, t)
      expect(await ended, path).toBe(2)
      expect(stderr()).toContain(says)
      expect(stderr().trim().split('\n')).toHaveLength(1)
      expect(stdout()).toBe('')
    }
    expect(existsSync(`${folder}.partial`)).toBe(false)
  })

  it('refuses a submission of two models, and a source without end', async () => {
    const two = startNustream([
      'evaluate',
      '--data',
      data,
      '--model',
      'linefit',
      '--model',
      'linefit',
      '--submission',
      'x',
    ])
    expect(await two.ended).toBe(2)
    expect(two.stderr()).toContain('--submission takes one --model, not 2')
    const endless = startNustream(['evaluate', '--data', 'sim:3', '--model', 'linefit'])
    expect(await endless.ended).toBe(2)
    expect(endless.stderr()).toContain('set the number of events with --events')
  })
})

describe('openSubmission()', () => {
  it('has each event once, those without a direction and those without pulses too', async () => {
    const file = join(folder, 'gaps.csv')
    {
      await using submission = await openSubmission(file)
      const [azimuth, zenith] = [Float64Array.of(1, Number.NaN, 2), Float64Array.of(0.5, Number.NaN, 0.25)]
      await submission.write({ eventIds: BigInt64Array.of(7n, 9n, 7n), azimuth, zenith })
      const listed = { eventIds: BigInt64Array.of(7n, 8n, 9n), hasPulses: Uint8Array.of(1, 0, 1) }
      expect(await submission.finish(listed)).toBeUndefined()
    }
    expect(readFileSync(file, 'utf8')).toBe('event_id,azimuth,zenith\n7,1,0.5\n9,0,0\n8,0,0\n')
  })

  it('takes the missing events from the list of the data set', async () => {
    const listed = await (await open()).listed?.()
    expect(listed?.eventIds).toEqual(BigInt64Array.from({ length: 300 }, (_, i) => BigInt(i)))
    expect(listed?.hasPulses).toEqual(new Uint8Array(300).fill(1))
  })

  it.each([
    {
      name: 'that the data set lists for other files',
      listed: { eventIds: BigInt64Array.of(7n, 8n), hasPulses: Uint8Array.of(0, 0) },
      says: '1 of 2 events are listed for other files',
    },
    {
      name: 'that have pulses and are in no file',
      listed: { eventIds: BigInt64Array.of(7n, 8n, 9n, 10n), hasPulses: Uint8Array.of(1, 1, 1, 1) },
      says: '2 listed events have pulses and are in no file',
    },
  ])('has no row for events $name, and says so', async ({ listed, says }) => {
    const file = join(folder, 'others.csv')
    await using submission = await openSubmission(file)
    const zero = Float64Array.of(1, 1)
    await submission.write({ eventIds: BigInt64Array.of(7n, 9n), azimuth: zero, zenith: zero })
    expect(await submission.finish(listed)).toContain(says)
    expect(readFileSync(file, 'utf8')).toBe('event_id,azimuth,zenith\n7,1,1\n9,1,1\n')
  })
})

describe('nustream models reference', () => {
  it('prints histograms of a data set that a manifest may hold', async () => {
    const process = startNustream(['models', 'reference', '--data', data, '--json'])
    expect(await process.ended, process.stderr()).toBe(0)
    const reference = JSON.parse(process.stdout())
    expect(reference).toMatchObject({ data: `kaggle:${data}`, events: 300 })
    expect(reference.pulses.edges).toHaveLength(reference.pulses.shares.length + 1)
  })
})
