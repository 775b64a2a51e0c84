import type { Logger } from 'pino'
import type { Inferrer } from './inferrer.ts'
import { openLocalModel } from './local.ts'

export interface OpenInferrerOptions {
  /** Worker threads of a model in this process; default: one per core. */
  readonly threads?: number
  /** Bearer token of a model server. */
  readonly token?: string
  /** Longest wait for a model server's answer. */
  readonly timeoutMs?: number
  readonly log?: Logger
}

/**
 * Opens what a `--model` names: `linefit`, a model folder, or the URL of a model server.
 * @throws UsageError for a folder that is no model; a server that is down shows in `ready()`
 */
export async function openInferrer(spec: string, options: OpenInferrerOptions = {}): Promise<Inferrer> {
  if (!/^https?:\/\//.test(spec)) return openLocalModel(spec, options)
  const { openHttpInferrer } = await import('./http.ts')
  return openHttpInferrer(spec, options)
}
