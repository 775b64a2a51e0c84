import { Counter, Gauge, type Registry } from 'prom-client'

/** Why MLflow did not take what it was sent. */
export const MLFLOW_FAILURES = ['unreachable', 'unauthorized', 'refused'] as const
export type MlflowFailure = (typeof MLFLOW_FAILURES)[number]

export type MlflowMetrics = ReturnType<typeof mlflowMetrics>

/** Metrics of logging to MLflow. */
export function mlflowMetrics(registry: Registry) {
  const registers = [registry]
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `nustream_mlflow_${name}`, help, registers })
  const counter = (name: string, help: string) =>
    new Counter({ name: `nustream_mlflow_${name}_total`, help, registers })
  const failures = new Counter({
    name: 'nustream_mlflow_failures_total',
    help: 'Tries to send that failed, by reason.',
    labelNames: ['reason'] as const,
    registers,
  })
  for (const reason of MLFLOW_FAILURES) failures.inc({ reason }, 0)
  return {
    up: gauge('up', '1 where MLflow took what it was last sent, 0 where it did not or was never asked.'),
    bufferedPoints: gauge('buffered_points', 'Points of metrics that wait to be sent.'),
    bufferLimitPoints: gauge(
      'buffer_limit_points',
      'Points that may wait; beyond them the oldest is dropped.',
    ),
    sentPoints: counter('sent_points', 'Points of metrics that MLflow has.'),
    droppedPoints: counter('dropped_points', 'Points of metrics that MLflow will never have.'),
    artifacts: counter('artifacts', 'Files that MLflow has taken.'),
    failures,
  }
}
