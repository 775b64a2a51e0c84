import { afterAll, beforeAll, type TestContext } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { describeBroker } from '../conformance/broker/conformance.ts'
import type { BrokerBackend } from '../conformance/broker/support.ts'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts'

let cluster: RedisCluster
const cleanups: (() => Promise<void>)[] = []
beforeAll(async () => {
  cluster = await startRedisCluster({ onTestFinished: (cleanup) => cleanups.push(cleanup) }, { replicas: 0 })
})
afterAll(() => Promise.all(cleanups.map((cleanup) => cleanup())))

// Partitions 0 to 3 lie on all three masters.
describeBroker('Redis Cluster broker of 4 partitions', async (t) => openClusterBackend(t, 4))

function openClusterBackend(t: TestContext, partitions: number): BrokerBackend {
  const stream = `test-${crypto.randomUUID()}`
  return {
    async open(options = {}) {
      const broker = await openBroker(cluster.url, { stream, partitions, ...options })
      t.onTestFinished(() => broker.close())
      return broker
    },
    async restart() {
      await Promise.all(cluster.nodes.map((node) => node.kill9()))
      await Promise.all(cluster.nodes.map((node) => node.restart()))
      await cluster.healthy()
    },
  }
}
