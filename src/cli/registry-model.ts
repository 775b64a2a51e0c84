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

/** `angle=1.2,kappa=10` or `off`; what is not named keeps its default. */
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

/** How long a model may take to prove itself in a process of its own. */
export const verifySettings = {
  verifyMs: z.coerce
    .number()
    .int()
    .min(1_000)
    .max(86_400_000)
    .optional()
    .describe(
      'time that loading and proving a model may take before it is refused (default: 30 s, and 1 s for each 5 MB of its files)',
    )
    .meta({ value: 'ms' }),
}

/** How models of a registry (`models:/NAME@ALIAS`) are followed. */
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
      `how far a new version may be from the one before during its probation (default: ${writeGate(GATE_DEFAULTS)}); off compares nothing`,
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
    throw new UsageError('flag_invalid', `${spec} needs the registry's address: give --mlflow URL as well`)
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

/** What a consumer asks, and what a person who looks at /health is told of it. */
export interface StreamModel {
  readonly inferrer: Inferrer
  details(): Record<string, unknown>
}

/** Opens what `--model` of a consumer names; one of the registry is replaced when its alias moves. */
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
      `--infer-url goes with a model folder: ${spec} is taken from the registry and run in this process`,
    )
  }
  const metrics = rollOutMetrics(role.registry)('model')
  const rollOut = await openRollOut(spec, config, role, { threads, metrics })
  const inferrer = new HotModel(rollOut.model)
  rollOut.follow((next) => inferrer.swap(next))
  return { inferrer, details: () => ({ model: inferrer.model, ...rollOutDetails('model', rollOut) }) }
}

/** What a person who looks at /health is told of a model of the registry. */
export function rollOutDetails(slot: string, { status }: RollOut): Record<string, string> {
  const { release, away, refused } = status
  return {
    [`${slot}_release`]: release,
    ...(away !== undefined && { [`${slot}_registry_away`]: away }),
    ...(refused !== undefined && { [`${slot}_refused`]: refused }),
  }
}

/** @throws UsageError where the user has no home folder, as a user id that only a container knows */
function defaultCache(): string {
  try {
    return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'nustream', 'models')
  } catch (cause) {
    const remedy = 'name a folder for models of the registry with --model-cache (NUSTREAM_MODEL_CACHE)'
    throw new UsageError('flag_invalid', `this user has no home folder: ${remedy}`, { cause })
  }
}
