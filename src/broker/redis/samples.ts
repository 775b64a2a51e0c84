import { sleep } from '../../async/deadline.ts'
import type { BatchMessage } from '../contract.ts'
import type { NewestBatch, RedisPartition } from './partition.ts'

export interface SampleDeps {
  readonly streams: readonly RedisPartition[]
  readonly everyMs: number
  readonly ends: AbortSignal
  /** Tries until it works, or gives undefined when nothing more is wanted. */
  next(read: () => Promise<NewestBatch | undefined>): Promise<NewestBatch | undefined>
}

/** The newest batch of one partition after another. Reads that block get connections of their own. */
export async function* sampleBatches(deps: SampleDeps): AsyncGenerator<BatchMessage, void, void> {
  const { streams, everyMs, ends } = deps
  const links = streams.map((stream) => stream.openLink())
  const seen = new Map<RedisPartition, string>()
  try {
    for (let turn = 0; !ends.aborted; turn++) {
      const stream = streams[turn % streams.length]
      const link = links[turn % links.length]
      const newest = await deps.next(() => stream.newestBatch(link, seen.get(stream)))
      if (!newest || ends.aborted) continue
      seen.set(stream, newest.id)
      yield newest.message
      await sleep(everyMs, ends)
    }
  } finally {
    await Promise.all(links.map((link) => link.close()))
  }
}
