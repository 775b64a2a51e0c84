import { Counter, Gauge, type Registry } from 'prom-client'
import type { BrokerObserver } from './options.ts'
import { RETRY_REASONS } from './retry.ts'

/** The metrics of a process's connection to the broker. Every role that opens a broker shows them. */
export function brokerMetrics(registry: Registry): BrokerObserver {
  const registers = [registry]
  const nodeGauge = (name: string, help: string) =>
    new Gauge({ name, help, labelNames: ['node'] as const, registers })
  const retries = new Counter({
    name: 'nustream_broker_retries_total',
    help: 'Steps that the broker did not carry out and that were tried again, by reason.',
    labelNames: ['reason'] as const,
    registers,
  })
  // A series that starts at 0 lets an alert see the first retry.
  for (const reason of RETRY_REASONS) retries.inc({ reason }, 0)
  const memoryUsed = nodeGauge('nustream_redis_memory_used_bytes', 'Memory that Redis uses.')
  const memoryMax = nodeGauge('nustream_redis_memory_max_bytes', 'maxmemory of Redis; 0 for no limit.')
  const persistenceFailing = nodeGauge(
    'nustream_redis_persistence_failing',
    '1 when the last write of the append-only file or of a snapshot failed.',
  )
  const primary = nodeGauge('nustream_redis_primary', '1 for a primary, 0 for a replica.')
  const replicas = nodeGauge('nustream_redis_connected_replicas', 'Replicas that are connected to this node.')
  const gauges = [memoryUsed, memoryMax, persistenceFailing, primary, replicas]
  return {
    retried: (reason) => retries.inc({ reason }),
    sawNodes(nodes) {
      // A node that no longer holds a partition has no value.
      for (const gauge of gauges) gauge.reset()
      for (const { node, ...state } of nodes) {
        memoryUsed.set({ node }, state.memoryUsedBytes)
        memoryMax.set({ node }, state.memoryMaxBytes)
        persistenceFailing.set({ node }, state.isPersistenceFailing ? 1 : 0)
        primary.set({ node }, state.isPrimary ? 1 : 0)
        replicas.set({ node }, state.connectedReplicas)
      }
    },
  }
}
