import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import { readBatches } from '../formats/parquet/read-batches.ts'
import { parseFileName } from './folder.ts'

/**
 * Finds batches that the folder holds already from a stream that the broker has lost. A broker that was emptied knows nothing
 * of what it held, so an emitter that is started again publishes the same batches, and they are predicted again.
 *
 * The first predictions of a stream that has no file in the folder are looked up in all files, and then as long as every
 * look finds repeats: what follows the last repeat is new.
 */
export class RepeatFinder {
  readonly #dir: string
  #isLooking: boolean

  constructor(dir: string, isNewStream: boolean) {
    this.#dir = dir
    this.#isLooking = isNewStream
  }

  /** What comes next may be in the folder already. */
  look(): void {
    this.#isLooking = true
  }

  /**
   * The batches without those that a file holds with the same id, model, version and events.
   * @throws Error where the folder or a file of it cannot be read
   */
  async without(batches: readonly PredictionBatch[]): Promise<readonly PredictionBatch[]> {
    if (!this.#isLooking || batches.length === 0) return batches
    const names = (await readdir(this.#dir)).filter((name) => parseFileName(name) !== undefined)
    const ids = batches.map(({ origin }) => origin.batchId)
    const stored = await readBatches(
      names.map((name) => join(this.#dir, name)),
      ids,
    )
    const known = new Set(stored.map(keyOf))
    const others = batches.filter(
      ({ origin, eventIds }) => !known.has(keyOf({ ...origin, eventIds: [...eventIds.toSorted()] })),
    )
    this.#isLooking = others.length < batches.length
    return others
  }
}

interface Batch {
  readonly batchId: string
  readonly model: string
  readonly modelVersion: string
  /** Ascending. */
  readonly eventIds: readonly bigint[]
}

function keyOf({ batchId, model, modelVersion, eventIds }: Batch): string {
  return JSON.stringify([batchId, model, modelVersion, eventIds.join()])
}
