import type { BatchMessage, Delivery, Settlement, SettleResult } from '../contract.ts'
import { deleteBatch, insertBatch } from './batches.ts'
import { insertDeadLetters } from './dead-letters.ts'
import type { SqliteFile } from './file.ts'
import { toLoan } from './lease.ts'

/** Stores the fate of a delivery and takes its batch out; nothing is stored for a batch id that was settled before. */
export function settle(file: SqliteFile, delivery: Delivery, settlement: Settlement): SettleResult {
  return once(file, delivery, () => {
    const { predictions, predicted, deadLetters } = settlement
    if (predictions) {
      file
        .sql('INSERT INTO predictions (partition, batch_id, at_ms, payload) VALUES (?, ?, ?, ?)')
        .run(delivery.partition, delivery.batchId, Date.now(), predictions)
    }
    const dead = insertDeadLetters(file, deadLetters)
    file
      .sql('UPDATE account SET predicted = predicted + ?, dead_lettered = dead_lettered + ?')
      .run(predicted, dead)
    return predicted + dead
  })
}

/** Puts the parts at the end of the stream in place of the delivery. */
export function split(file: SqliteFile, delivery: Delivery, parts: readonly BatchMessage[]): SettleResult {
  return once(file, delivery, () => {
    for (const part of parts) insertBatch(file, part, delivery.partition)
    return parts.reduce((events, part) => events + part.events, 0)
  })
}

/**
 * Runs `store` if the batch id was not settled before, and takes the batch out in any case. `store` returns the events
 * that it accounted for: where the producer had said otherwise, or the batch was published twice, `emitted` is put right.
 */
function once(file: SqliteFile, delivery: Delivery, store: () => number): SettleResult {
  return file.transaction(() => {
    const isFirst =
      file
        .sql('INSERT INTO settled (batch_id, at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING')
        .run(delivery.batchId, Date.now()).changes === 1
    const fated = isFirst ? store() : 0
    const counted = deleteBatch(file, toLoan(delivery.deliveryId).seq)
    if (isFirst || counted !== undefined) {
      file.sql('UPDATE account SET emitted = emitted + ?').run(fated - (counted ?? delivery.events))
    }
    return isFirst ? 'settled' : 'repeat'
  })
}
