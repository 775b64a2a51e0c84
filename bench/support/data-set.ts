import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startNustream } from '../../test/support/nustream.ts'

/** Folder with simulated events in the Kaggle layout, created once in the temporary folder. */
export async function simulatedDataSet(events: number): Promise<string> {
  const folder = join(tmpdir(), `nustream-bench-sim-${events}`)
  if (existsSync(join(folder, 'train_meta.parquet'))) return folder
  console.log(`simulating ${events} events into ${folder}`)
  const simulate = startNustream(['simulate', '--events', String(events), '--out', folder, '--seed', '99'])
  if ((await simulate.ended) !== 0) throw new Error(`simulate failed: ${simulate.stderr()}`)
  return folder
}
