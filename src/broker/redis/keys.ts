/** The keys of one partition. The hash tag puts them in one slot, so that a script may touch them all in a cluster. */
export interface PartitionKeys {
  /** Stream of batches: `batch_id`, `batch` (wire form), and where known `events`, `emitted_at_ms`, `counted`,
   * `traceparent`. */
  readonly batches: string
  /** Stream of predictions: `batch_id`, `predictions` (wire form). */
  readonly predictions: string
  /** Stream of dead letters. */
  readonly deadLetters: string
  /** Sorted set of settled batch ids by the time of settling. */
  readonly settled: string
  /** Hash: run → its position in this partition, as JSON. */
  readonly runs: string
  /** Hash of counts: `emitted`, `predicted`, `dead_lettered`, `waiting`; in the first partition also `stream_id`. */
  readonly totals: string
  /** Hash: consumer group that reads through us → when it last did. Only these hold up trimming. */
  readonly groups: string
  /** Hash: reader → `MILLISECONDS CURSOR`, what it has taken of the predictions and when it said so. */
  readonly readers: string
}

export function partitionKeys(stream: string, partition: number): PartitionKeys {
  const key = (name: string) => `${stream}:{p${partition}}:${name}`
  return {
    batches: key('batches'),
    predictions: key('predictions'),
    deadLetters: key('dead-letters'),
    settled: key('settled'),
    runs: key('runs'),
    totals: key('totals'),
    groups: key('groups'),
    readers: key('readers'),
  }
}

/** Hash: `ROLE/INSTANCE` → last heartbeat as JSON. One for all partitions, beside the first. */
export function heartbeatsKey(stream: string): string {
  return `${stream}:{p0}:heartbeats`
}
