/**
 * The partition of a batch. With a position it follows the sequence, so that the position record lies beside its
 * batch and one emitter spreads evenly; without one it follows the batch id (FNV-1a).
 */
export function partitionOf(batchId: string, sequence: number | undefined, partitions: number): number {
  if (sequence !== undefined) return sequence % partitions
  let hash = 0x811c9dc5
  for (let i = 0; i < batchId.length; i++) hash = Math.imul(hash ^ batchId.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % partitions
}
