import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type MlflowServer, startMlflowServer } from '../../tools/mlflow/server.ts'

/** True where no real MLflow can be had on purpose: its tests are skipped then. */
export const isOffline = process.env['NUSTREAM_TEST_OFFLINE'] === '1'

/** Why a test that needs a real MLflow is skipped. */
export const NO_MLFLOW = 'NUSTREAM_TEST_OFFLINE=1 is set'

/** For `beforeAll`: MLflow's own start, and the making of its environment where that is missing. */
export const MLFLOW_WITHIN_MS = 1_800_000

/** A real tracking server in a folder of its own; the caller disposes of it, in `afterAll`. */
export async function startMlflow(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<MlflowServer> {
  const dir = mkdtempSync(join(tmpdir(), 'nustream-mlflow-'))
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  return startMlflowServer({ dir, args, env })
}
