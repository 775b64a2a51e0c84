import { expect, it } from 'vitest'
import { fakeLocalModel } from '../../../test/support/fake-local-model.ts'
import { makeEvents } from '../../../test/support/plain-events.ts'
import { PrivateModel } from '../../../test/support/private-model.ts'
import { onProbation } from './probation.ts'

it('a model on probation that is an instance of a class keeps all its methods', async () => {
  const next = new PrivateModel()
  const model = onProbation(next, { previous: fakeLocalModel(), isOver: () => false, onFailure() {} })
  expect((await model.infer(makeEvents(2, 1))).model).toEqual({ name: 'private', version: '1' })
  await model.ready()
  await model.runTensors({})
  await model[Symbol.asyncDispose]()
  expect(next.calls).toEqual(['infer', 'ready', 'runTensors', 'dispose'])
})
