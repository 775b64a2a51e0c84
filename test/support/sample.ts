import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Reason for skipping a test that needs the ten real events. */
export const NO_SAMPLE = 'the ten real events of the Kaggle competition are not on this machine'

/**
 * Folder of ten real events in the Kaggle layout, where this machine has one (`NUSTREAM_SAMPLE_DATA`, or beside the
 * repository); undefined otherwise. They are the competition's, so the project does not contain them.
 */
export function sampleFolder(): string | undefined {
  const beside = fileURLToPath(new URL('../../../shared/data/kaggle-sample', import.meta.url))
  const folder = process.env['NUSTREAM_SAMPLE_DATA'] ?? beside
  return existsSync(folder) ? folder : undefined
}
