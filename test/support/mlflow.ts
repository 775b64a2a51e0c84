import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type MlflowServer, startMlflowServer } from '../../tools/mlflow/server.ts'

/** True if MLflow is disabled on purpose; its tests are then skipped. */
export const isOffline = process.env['NUSTREAM_TEST_OFFLINE'] === '1'

/** Reason for skipping a test that needs a real MLflow. */
export const NO_MLFLOW = 'NUSTREAM_TEST_OFFLINE=1 is set'

/** Time limit for `beforeAll`: MLflow's start, and the creation of its environment if it is missing. */
export const MLFLOW_WITHIN_MS = 1_800_000

/** A real tracking server in a temporary folder; the caller disposes of it, in `afterAll`. */
export async function startMlflow(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<MlflowServer> {
  const dir = mkdtempSync(join(tmpdir(), 'nustream-mlflow-'))
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  return startMlflowServer({ dir, args, env })
}
