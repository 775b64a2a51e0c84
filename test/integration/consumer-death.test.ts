import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, type TestContext } from 'vitest'
import type { Broker } from '../../src/broker/contract.ts'
import { openBroker } from '../../src/broker/open.ts'
import { BACKENDS, openBackend } from '../support/broker-backends.ts'
import {
  expectedAzimuths,
  range,
  sorted,
  startConsuming,
  storedPredictions,
  untilDrained,
} from '../support/consuming.ts'
import { TestInferrer } from '../support/faulty-inferrer.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const VISIBILITY_MS = 600

async function publish(broker: Broker, batches: number, events: number): Promise<number[]> {
  for (let b = 0; b < batches; b++) {
    await broker.publish(toMessage(`b${b}`, makeEvents(events, 1 + b * events)))
  }
  return range(1, batches * events)
}

interface Spawned {
  readonly child: ChildProcess
  /** Waits for a line on its standard output. */
  said(word: string): Promise<void>
}

interface SpawnOptions {
  readonly url: string
  /** The event on which it ends. */
  readonly fatal: number
  readonly how: 'kill' | 'hang'
}

function spawnConsumer(t: TestContext, { url, fatal, how }: SpawnOptions): Spawned {
  const script = fileURLToPath(new URL('../support/consumer-process.ts', import.meta.url))
  const args = [script, url, 'C1', `${fatal}`, `${VISIBILITY_MS}`, '2', how]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.onTestFinished(() => void child.kill('SIGKILL'))
  let out = ''
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  const said = async (word: string): Promise<void> => {
    await until(() => out.includes(word), { what: `the consumer to say ${word}` })
  }
  return { child, said }
}

describe.each(BACKENDS)('consumers that die on %s', (backend) => {
  it('a batch of a consumer killed while it held it is finished by another', async (t) => {
    const opened = await openBackend(t, backend)
    const broker = await opened.open({ visibilityMs: VISIBILITY_MS })
    const ids = await publish(broker, 8, 10)
    const { child, said } = spawnConsumer(t, { url: opened.url, fatal: 17, how: 'hang' })
    await said('holding')
    child.kill('SIGKILL')
    const { registry } = startConsuming(t, { broker, inferrer: new TestInferrer(), consumer: 'C2' })
    await untilDrained(broker)
    expect(sorted(await storedPredictions(broker))).toEqual(sorted(expectedAzimuths(ids)))
    expect(await registry.getSingleMetricAsString('nustream_consumer_redeliveries_total')).toMatch(
      / [1-9]\d*$/,
    )
  })

  it('an event that kills every consumer becomes a dead letter, and every neighbour is predicted', async (t) => {
    const opened = await openBackend(t, backend)
    const broker = await opened.open({ visibilityMs: VISIBILITY_MS })
    const ids = await publish(broker, 6, 20)
    let deaths = 0
    for (;;) {
      const { child } = spawnConsumer(t, { url: opened.url, fatal: 43, how: 'kill' })
      const died = once(child, 'exit').then(() => 'died')
      const drained = untilDrained(broker, 60_000).then(
        () => 'drained',
        () => 'not drained',
      )
      if ((await Promise.race([died, drained])) !== 'died') break
      deaths++
      expect(deaths).toBeLessThan(25)
    }
    // Two with the batch of 20, two with the event alone: no death counts against a neighbour.
    expect(deaths).toBe(4)
    const neighbours = ids.filter((id) => id !== 43)
    expect(sorted(await storedPredictions(broker))).toEqual(sorted(expectedAzimuths(neighbours)))
    const letters = await broker.deadLetters({ limit: 10 })
    expect(letters.map(({ eventId, code }) => [eventId, code])).toEqual([[43n, 'attempts_exhausted']])
    expect(await broker.totals()).toEqual({ emitted: 120, predicted: 119, deadLettered: 1 })
  })
})

it('consume() survives a restart of Redis, and every event is predicted once', async (t) => {
  const redis = await startRedis(t)
  const broker = await openBroker(redis.url, { visibilityMs: VISIBILITY_MS })
  t.onTestFinished(() => broker.close())
  const ids = await publish(broker, 40, 10)
  const inferrer = new TestInferrer()
  startConsuming(t, { broker, inferrer })
  await until(() => inferrer.asked.length > 5)
  await redis.kill9()
  await redis.restart()
  await untilDrained(broker)
  expect(sorted(await storedPredictions(broker))).toEqual(sorted(expectedAzimuths(ids)))
})
