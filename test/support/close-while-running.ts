import { openLocalModel } from '../../src/inference/network/local.ts'
import { madeUpEvents } from '../../src/inference/network/warm-up.ts'

/** Asks a model for much, closes it at once and exits: exit code 0 only where no run was active any more. */
const model = await openLocalModel(process.argv[2], { threads: 2 })
const asked = Array.from({ length: 4 }, () => model.infer(madeUpEvents(new Array<number>(200).fill(128))))
const settled = Promise.allSettled(asked)
await model[Symbol.asyncDispose]()
const answers = await settled
process.stdout.write(answers.map(({ status }) => status).join(' '))
process.exit(0)
