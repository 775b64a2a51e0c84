import { afterAll, beforeAll, type TestContext } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { describeBroker } from '../conformance/broker/conformance.ts'
import type { BrokerBackend } from '../conformance/broker/support.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

for (const partitions of [1, 3]) {
  describeBroker(`Redis broker of ${partitions} partition(s)`, async (t) => openRedisBackend(t, partitions))
}

function openRedisBackend(t: TestContext, partitions: number): BrokerBackend {
  const stream = `test-${crypto.randomUUID()}`
  return {
    async open(options = {}) {
      const broker = await openBroker(redis.url, { stream, partitions, ...options })
      t.onTestFinished(() => broker.close())
      return broker
    },
    async restart() {
      await redis.kill9()
      await redis.restart()
    },
  }
}
