import { z } from 'zod'
import { NustreamError } from '../errors.ts'
import type { MlflowHttp } from './http.ts'
import { isRefusal } from './runs.ts'

const WITHIN_MS = 20_000

export interface TrackingFacts {
  readonly version: string
  /** Why artefacts cannot be sent through the tracking server; undefined where they can. */
  readonly artifacts: string | undefined
}

/** Asks a tracking server, changing nothing there. @throws UnavailableError, UsageError as the calls do */
export async function tryTracking(http: MlflowHttp): Promise<TrackingFacts> {
  const options = { timeoutMs: WITHIN_MS }
  try {
    // One that is not there is as good an answer: it takes the credentials.
    const query = { experiment_name: 'nustream' }
    await http.get('mlflow/experiments/get-by-name', query, z.object({ experiment: z.object({}) }), options)
  } catch (error) {
    if (!isRefusal(error, 'RESOURCE_DOES_NOT_EXIST')) throw error
  }
  const version = (await http.text('version', options)).slice(0, 40)
  try {
    await http.get('mlflow-artifacts/artifacts', { path: '' }, z.object({}), options)
    return { version, artifacts: undefined }
  } catch (error) {
    if (!(error instanceof NustreamError)) throw error
    const remedy = 'start it with --serve-artifacts and --artifacts-destination'
    return { version, artifacts: `the tracking server keeps none (${error.message}); ${remedy}` }
  }
}
