import type { Logger } from 'pino'
import { UsageError } from '../errors.ts'
import type { Inferrer } from './inferrer.ts'
import { resolveModelFolder } from './model/folder.ts'
import { openLocalModel } from './network/local.ts'

export interface OpenInferrerOptions {
  /** Worker threads of a model in this process; default: one per core. */
  readonly threads?: number
  /** Bearer token of a model server. */
  readonly token?: string
  /** Longest wait for one answer of a model server, ms. */
  readonly timeoutMs?: number | undefined
  /** Wait before a second model server is asked, ms; 0: never. Default: the 95th percentile of late. */
  readonly hedgeMs?: number | undefined
  /** Where the network of a model folder runs, by the Open Inference Protocol; in this process unless told. */
  readonly inferUrl?: string | undefined
  /** Events of one request to `inferUrl`. */
  readonly inferEvents?: number | undefined
  readonly log?: Logger
}

/**
 * Opens what a `--model` names: `linefit`, a model folder, or URLs of model servers, separated by commas.
 * With `inferUrl` the network of a folder runs there, and this process makes its features.
 * @throws UsageError for a folder that is no model; a server that is down shows in `ready()`
 */
export async function openInferrer(spec: string, options: OpenInferrerOptions = {}): Promise<Inferrer> {
  if (options.inferUrl !== undefined) {
    if (isUrl(spec) || spec === 'linefit') {
      throw new UsageError(
        'flag_invalid',
        `--infer-url says where the network of a model folder runs, and "${spec}" is no folder; give --model FOLDER`,
      )
    }
    const { openRemoteNetwork } = await import('./remote/remote-network.ts')
    const { inferUrl, inferEvents: eventsPerRequest, ...rest } = options
    return openRemoteNetwork(resolveModelFolder(spec), inferUrl, { ...rest, eventsPerRequest })
  }
  if (!isUrl(spec)) return openLocalModel(spec, options)
  const { openHttpInferrer } = await import('./remote/http.ts')
  return openHttpInferrer(spec, options)
}

/** Whether a `--model` names model servers. */
export function isUrl(spec: string): boolean {
  return /^https?:\/\//.test(spec)
}
