/**
 * A consumer or an emitter in a separate process, to be killed. Arguments: URL, role, name, then for the emitter the
 * number of batches. Prints a line for each step.
 *
 * `hold` leases and never settles; `settle` leases and settles until killed; `emit` publishes and continues where its run
 * stands.
 */

import { openBroker } from '../../src/broker/open.ts'
import { batch, predicted } from '../conformance/broker/support.ts'

const [, , url = '', role = '', name = '', count = '0'] = process.argv
const options = { visibilityMs: 400, retryMaxMs: 50, upkeepMs: 100 }
await using broker = await openBroker(url, options)

if (role === 'emit') await emit(Number(count))
else await consume(role === 'settle')

async function emit(batches: number): Promise<void> {
  const position = await broker.position(name)
  for (let sequence = (position?.sequence ?? 0) + 1; sequence <= batches; sequence++) {
    const step = { run: name, sequence, resume: '', emitted: sequence * 4, done: sequence === batches }
    await broker.publish(batch(`${name}/${sequence}`), step)
    process.stdout.write(`published ${sequence}\n`)
  }
}

async function consume(settles: boolean): Promise<void> {
  const { signal } = new AbortController()
  for await (const delivery of broker.deliveries({ consumer: name, leasesMax: 4, signal })) {
    process.stdout.write(`leased ${delivery.batchId} ${delivery.attempt}\n`)
    if (settles)
      process.stdout.write(`${await broker.settle(delivery, predicted(delivery))} ${delivery.batchId}\n`)
  }
}
