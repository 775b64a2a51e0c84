import { availableParallelism, homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import { verifyApart } from '../inference/model/verify-apart.ts'
import { type LocalModelOptions, openLocalModel } from '../inference/network/local.ts'
import { HotModel } from '../inference/release/hot-model.ts'
import {
  GATE_CHECKS,
  GATE_DEFAULTS,
  type GateCheck,
  type GateLimits,
} from '../inference/release/quality-gate.ts'
import { RollOut, type RollOutMetrics, rollOutMetrics } from '../inference/release/roll-out.ts'
import { isRegistrySpec } from '../mlflow/registry.ts'
import { RegistrySource } from '../mlflow/registry-source.ts'
import { openTracking, type TrackingConfig } from './mlflow.ts'
import { type ModelConfig, openRoleInferrer, type Role } from './role.ts'

function writeGate(limits: GateLimits): string {
  return GATE_CHECKS.map((check) => `${check}=${limits[check]}`).join(',')
}

/** `angle=1.2,kappa=10` or `off`; a limit that is not named keeps its default. */
function readGate(text: string, context: z.RefinementCtx): GateLimits | 'off' {
  if (text === 'off') return 'off'
  const given: Partial<Record<GateCheck, number>> = {}
  for (const part of text.split(',')) {
    const [name, value] = part.split('=')
    const check = GATE_CHECKS.find((known) => known === name.trim())
    const limit = Number(value)
    if (check !== undefined && value?.trim() && limit > 0) given[check] = limit
    else
      context.addIssue({
        code: 'custom',
        message: `expected off, or limits above 0 such as ${writeGate(GATE_DEFAULTS)}`,
      })
  }
  return { ...GATE_DEFAULTS, ...given }
}

/** Time limit for verifying a model in a separate process. */
export const verifySettings = {
  verifyMs: z.coerce
    .number()
    .int()
    .min(1_000)
    .max(86_400_000)
    .optional()
    .describe(
      'time limit for loading and verifying a model; a slower one is refused (default: 30 s, plus 1 s for each 5 MB of its files)',
    )
    .meta({ value: 'ms' }),
}

/** Settings for models of a registry (`models:/NAME@ALIAS`). */
export const registrySettings = {
  modelPollMs: z.coerce
    .number()
    .int()
    .min(500)
    .max(86_400_000)
    .default(30_000)
    .describe('interval at which the registry is asked for the version of models:/NAME@ALIAS')
    .meta({ value: 'ms' }),
  modelProbationMs: z.coerce
    .number()
    .int()
    .min(0)
    .max(86_400_000)
    .default(30_000)
    .describe(
      'probation: the previous model is kept this long after a swap and restored if the new one fails',
    )
    .meta({ value: 'ms' }),
  modelGate: z
    .string()
    .transform((text, context) => readGate(text, context))
    .optional()
    .describe(
      `how far the answers of a new version may differ from the previous one during probation (default: ${writeGate(GATE_DEFAULTS)}); off disables the comparison`,
    )
    .meta({ value: 'limits' }),
  ...verifySettings,
  modelCache: z
    .string()
    .min(1)
    .optional()
    .describe('folder for models of the registry (default: nustream/models in the user’s cache folder)')
    .meta({ value: 'folder' }),
}

export interface RegistryConfig extends TrackingConfig {
  readonly modelPollMs: number
  readonly modelProbationMs: number
  readonly modelGate?: GateLimits | 'off' | undefined
  readonly verifyMs?: number | undefined
  readonly modelCache?: string | undefined
}

export interface RollOutNeeds extends Pick<LocalModelOptions, 'threads' | 'isBackground' | 'queue'> {
  readonly metrics: RollOutMetrics
}

/** Follows a model of the registry; it is closed with the role. @throws UsageError `flag_invalid` without --mlflow */
export async function openRollOut(
  spec: string,
  config: RegistryConfig,
  role: Pick<Role, 'log' | 'parts'>,
  { metrics, ...needs }: RollOutNeeds,
): Promise<RollOut> {
  if (!config.mlflow)
    throw new UsageError('flag_invalid', `${spec} needs the address of the registry: add --mlflow URL`)
  const { log } = role
  const http = openTracking(config)
  const cacheDir = config.modelCache ?? defaultCache()
  const rollOut = await RollOut.open({
    source: new RegistrySource({ http, spec, cacheDir, log }),
    async open(folder, signal) {
      const { problem } = await verifyApart(folder, { withinMs: config.verifyMs, signal })
      if (problem) throw new UsageError('model_unreadable', `${problem.message} (${problem.code})`)
      return openLocalModel(folder, { ...needs, log })
    },
    pollMs: config.modelPollMs,
    probationMs: config.modelProbationMs,
    gate: config.modelGate === 'off' ? undefined : (config.modelGate ?? GATE_DEFAULTS),
    metrics,
    log,
  })
  return role.parts.use(rollOut)
}

/** The model of a consumer, and its description for /health. */
export interface StreamModel {
  readonly inferrer: Inferrer
  details(): Record<string, unknown>
}

/** Opens the model named by a consumer's `--model`. A registry model is replaced when its alias moves. */
export async function openStreamModel(
  config: RegistryConfig & ModelConfig,
  role: Role,
): Promise<StreamModel> {
  const { model: spec, threads = availableParallelism() } = config
  if (!isRegistrySpec(spec)) {
    const inferrer = await openRoleInferrer(config, role)
    return { inferrer, details: () => ({ model: inferrer.model }) }
  }
  if (config.inferUrl !== undefined) {
    throw new UsageError(
      'flag_invalid',
      `--infer-url needs a model folder: ${spec} is loaded from the registry and runs in this process`,
    )
  }
  const metrics = rollOutMetrics(role.registry)('model')
  const rollOut = await openRollOut(spec, config, role, { threads, metrics })
  const inferrer = new HotModel(rollOut.model)
  rollOut.follow((next) => inferrer.swap(next))
  return { inferrer, details: () => ({ model: inferrer.model, ...rollOutDetails('model', rollOut) }) }
}

/** The description of a registry model for /health. */
export function rollOutDetails(slot: string, { status }: RollOut): Record<string, string> {
  const { release, away, refused } = status
  return {
    [`${slot}_release`]: release,
    ...(away !== undefined && { [`${slot}_registry_away`]: away }),
    ...(refused !== undefined && { [`${slot}_refused`]: refused }),
  }
}

/** @throws UsageError if the user has no home folder, such as a user id that exists only in a container */
function defaultCache(): string {
  try {
    return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'nustream', 'models')
  } catch (cause) {
    const remedy = 'set a folder for registry models with --model-cache (NUSTREAM_MODEL_CACHE)'
    throw new UsageError('flag_invalid', `this user has no home folder: ${remedy}`, { cause })
  }
}
