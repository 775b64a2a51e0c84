import { expect, it } from 'vitest'
import { fakeLocalModel } from '../../../test/support/fake-local-model.ts'
import { makeEvents } from '../../../test/support/plain-events.ts'
import { PrivateModel } from '../../../test/support/private-model.ts'
import { onProbation } from './probation.ts'

it('onProbation() leaves methods and private fields of a model that is a class instance as they are', async () => {
  const model = new PrivateModel()
  const options = { previous: fakeLocalModel(), isOver: () => false, gate: undefined, onFailure: () => {} }
  const tried = onProbation(model, options)
  await tried.ready()
  expect((await tried.infer(makeEvents(2, 1))).model).toEqual({ name: 'private', version: '1' })
  expect(tried.model).toEqual({ name: 'private', version: '1' })
  expect(await tried.runTensors({})).toEqual({})
  await tried[Symbol.asyncDispose]()
  expect(model.calls).toEqual(['ready', 'infer', 'runTensors', 'dispose'])
})
