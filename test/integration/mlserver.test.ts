import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { openingAngles } from '../../src/event/direction.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { openRemoteNetwork } from '../../src/inference/remote/remote-network.ts'
import { openBackend } from '../support/broker-backends.ts'
import { startConsuming, storedPredictions, untilDrained } from '../support/consuming.ts'
import { startMlServer } from '../support/mlserver.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { randomEvents } from '../support/random-events.ts'
import { until } from '../support/until.ts'

/** How far apart two directions may be: JSON keeps float32, but another build of ONNX Runtime sums in another order. */
const MODELS = [
  { name: 'linefit-onnx', nearRad: 1e-6 },
  { name: 'nano', nearRad: 1e-4 },
]

it.for(MODELS)(
  'a consumer asks a real MLServer for $name, and waits for it while it is gone',
  {
    timeout: 1_500_000,
  },
  async ({ name, nearRad }, t) => {
    const folder = fileURLToPath(new URL(`../../models/${name}`, import.meta.url))
    const server = await startMlServer(t, { folder, name, version: '1' })
    if (server === undefined) return t.skip('without network there is no MLServer')
    const local = await openLocalModel(folder, { threads: 1 })
    t.onTestFinished(() => local[Symbol.asyncDispose]())
    const remote = await openRemoteNetwork(folder, `${server.url}/v2/models/${name}`, { timeoutMs: 10_000 })
    t.onTestFinished(() => remote[Symbol.asyncDispose]())

    const events = randomEvents({ events: 200 })
    const [near, far] = [await local.infer(events), await remote.infer(events)]
    expect(far.model).toEqual({ name, version: '1' })
    expect(far.faults).toEqual(near.faults)
    expect([...far.degenerate]).toEqual([...near.degenerate])
    expect(Math.max(...openingAngles(near, far))).toBeLessThan(nearRad)

    const broker = await (await openBackend(t, 'sqlite')).open()
    const batches = Array.from({ length: 12 }, (_, b) => makeEvents(25, 1 + b * 25))
    const consumer = startConsuming(t, { broker, inferrer: remote })
    for (const [b, batch] of batches.slice(0, 4).entries()) await broker.publish(toMessage(`b${b}`, batch))
    await untilDrained(broker)
    await server.kill9()
    for (const [b, batch] of batches.entries()) if (b >= 4) await broker.publish(toMessage(`b${b}`, batch))
    await until(async () => (await broker.backlog()).leasedBatches > 0)
    await server.restart()
    await untilDrained(broker, 60_000)
    await consumer.stop()
    expect(await broker.totals()).toEqual({ emitted: 300, predicted: 300, deadLettered: 0 })
    const stored = await storedPredictions(broker)
    for (const batch of batches) {
      const { azimuth, zenith } = await local.infer(batch)
      for (const [i, id] of batch.eventIds.entries()) {
        const turn = (stored.get(Number(id)) ?? Number.NaN) - azimuth[i]
        // On the sky, and across azimuth 0.
        expect(Math.abs(2 * Math.sin(turn / 2) * Math.sin(zenith[i]))).toBeLessThan(nearRad)
      }
    }
  },
)
