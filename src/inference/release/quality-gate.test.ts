import { describe, expect, it } from 'vitest'
import { type FakeLocalOptions, fakeLocalModel } from '../../../test/support/fake-local-model.ts'
import { makeEvents } from '../../../test/support/plain-events.ts'
import { until } from '../../../test/support/until.ts'
import type { EventBatch } from '../../event/event-batch.ts'
import type { Inference } from '../inferrer.ts'
import { GATE_DEFAULTS, type GateCheck, QualityGate } from './quality-gate.ts'

const BATCH = makeEvents(64, 1)
/** Truth at azimuth 1, zenith 1: what the model before answers. */
const WITH_TRUTH: EventBatch = {
  ...BATCH,
  truth: { azimuth: new Float64Array(64).fill(1), zenith: new Float64Array(64).fill(1) },
}

interface Comparison {
  readonly batch?: EventBatch
  readonly previous?: FakeLocalOptions
  /** Changes what the new model answers. */
  readonly edit?: (answer: Inference) => Inference
}

/** Shows batches to a gate until it has compared 300 events or has failed the new model. */
async function compare(
  next: FakeLocalOptions,
  { batch = BATCH, previous = {}, edit = (answer) => answer }: Comparison = {},
) {
  const failures: { check: GateCheck; reason: string }[] = []
  let measured: Record<GateCheck, number> | undefined
  let looks = 0
  const gate = new QualityGate({
    limits: GATE_DEFAULTS,
    previous: fakeLocalModel(previous),
    onMeasured: (values) => {
      measured = { ...values }
      looks++
    },
    onFailure: (check, reason) => failures.push({ check, reason }),
  })
  const model = fakeLocalModel(next)
  await until(async () => {
    gate.offer(batch, edit(await model.infer(batch)))
    return failures.length > 0 || looks >= 5
  })
  return { failures, measured, gate, model }
}

describe('QualityGate', () => {
  it('lets a release pass that answers as the one before', async () => {
    const { failures, measured } = await compare({})
    expect(failures).toEqual([])
    expect(measured).toMatchObject({ angle: 0, degenerate: 0, kappa: 1 })
  })

  it.each([
    {
      check: 'angle',
      next: { zenith: 2.5 },
      says: /the median angle to the release before \(rad\) is 1\.500, allowed 1\.2/,
    },
    { check: 'degenerate', next: { isDegenerate: true }, says: /is 1\.000, allowed 0\.25/ },
    { check: 'kappa', next: { kappa: 20 }, says: /is 20\.000, allowed 10/ },
    { check: 'kappa', next: { kappa: 0.01 }, says: /is 100\.000, allowed 10/ },
  ])('fails a release by $check: $next', async ({ check, next, says }) => {
    const { failures } = await compare(next)
    expect(failures).toMatchObject([{ check, reason: expect.stringMatching(says) }])
    expect(failures[0].reason).toMatch(/^on 2\d\d events that both answered/)
  })

  it('goes by the angular error where truth is known: a better release may be far from the one before', async () => {
    const better = await compare({ zenith: 1 }, { batch: WITH_TRUTH, previous: { zenith: 2.5 } })
    expect(better.failures).toEqual([])
    const worse = await compare({ zenith: 1.6 }, { batch: WITH_TRUTH, previous: { zenith: 1.4 } })
    expect(worse.failures).toMatchObject([
      { check: 'error', reason: expect.stringMatching(/is 1\.500, allowed 1\.25/) },
    ])
  })

  it('takes a few bad events for chance, also where the mean error is beyond the limit', async () => {
    // One event of 64 is 2 rad off: the mean error is 1.31 times that before, within two standard errors.
    const edit = (answer: Inference) => ({ ...answer, zenith: answer.zenith.with(0, 3.1) })
    const { failures, measured } = await compare(
      { zenith: 1.1 },
      { batch: WITH_TRUTH, previous: { zenith: 1.1 }, edit },
    )
    expect(measured?.error).toBeCloseTo(1.31, 2)
    expect(failures).toEqual([])
  })

  it('says nothing where the release before cannot answer either', async () => {
    let asked = 0
    const failures: string[] = []
    const gate = new QualityGate({
      limits: GATE_DEFAULTS,
      previous: fakeLocalModel({
        before() {
          asked++
          throw new Error('the model is closed')
        },
      }),
      onFailure: (_check, reason) => failures.push(reason),
    })
    const answer = await fakeLocalModel({ zenith: 2.5 }).infer(BATCH)
    await until(() => {
      gate.offer(BATCH, answer)
      return asked > 4
    })
    expect(failures).toEqual([])
  })
})
