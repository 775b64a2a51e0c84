/**
 * A consumer in a separate process, for tests that kill it.
 * `node consumer-process.ts URL NAME FATAL_EVENT VISIBILITY_MS ATTEMPTS_MAX [hang]`: kills itself with SIGKILL (or hangs
 * for ever) when the model gets the event FATAL_EVENT. Prints `ready` when it begins, `holding` when it hangs.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { openBroker } from '../../src/broker/open.ts'
import { consume } from '../../src/consumer/consume.ts'
import { consumerMetrics } from '../../src/consumer/metrics.ts'
import { TestInferrer } from './faulty-inferrer.ts'

const [url = '', consumer = '', fatalEvent = '', visibilityMs = '1000', attemptsMax = '3', how = 'kill'] =
  process.argv.slice(2)
const broker = await openBroker(url, { visibilityMs: Number(visibilityMs) })
const inner = new TestInferrer()
const infer = inner.infer.bind(inner)
inner.infer = async (batch) => {
  if (batch.eventIds.includes(BigInt(fatalEvent))) {
    if (how === 'kill') process.kill(process.pid, 'SIGKILL')
    process.stdout.write('holding\n')
    await sleep(1_000_000)
  }
  return infer(batch)
}
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
process.stdout.write('ready\n')
await consume({
  broker,
  inferrer: inner,
  consumer,
  leasesMax: 4,
  attemptsMax: Number(attemptsMax),
  metrics: consumerMetrics(new Registry()),
  log: pino({ level: 'silent' }),
  signal: stop.signal,
})
await broker.close()
