import { openLocalModel } from '../../src/inference/network/local.ts'
import { madeUpEvents } from '../../src/inference/network/warm-up.ts'

/** Sends a model many events, closes it at once and exits: with exit code 0 only if no run is active. */
const model = await openLocalModel(process.argv[2], { threads: 2 })
const asked = Array.from({ length: 4 }, () => model.infer(madeUpEvents(new Array<number>(200).fill(128))))
const settled = Promise.allSettled(asked)
await model[Symbol.asyncDispose]()
const answers = await settled
process.stdout.write(answers.map(({ status }) => status).join(' '))
process.exit(0)
