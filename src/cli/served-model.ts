import { NustreamError, UsageError } from '../errors.ts'
import { type LocalModel, type LocalModelOptions, openLocalModel } from '../inference/network/local.ts'
import type { QueueLimits } from '../inference/network/queue.ts'
import { HotModel } from '../inference/release/hot-model.ts'
import type { RollOut } from '../inference/release/roll-out.ts'
import { type ModelSlot, rollOutMetrics } from '../inference/release/roll-out.ts'
import { isRegistrySpec } from '../mlflow/registry.ts'
import { Challenger, challengerMetrics } from '../server/challenger.ts'
import { openRollOut, type RegistryConfig, rollOutDetails } from './registry-model.ts'
import type { Role } from './role.ts'

export interface ServedConfig extends RegistryConfig {
  readonly model: string
  readonly challenger?: string | undefined
}

/** The models of a model server. */
export interface ServedModels {
  readonly model: LocalModel
  /** Description for /health. */
  details(): Record<string, string>
  /** From now on, `swap` replaces a registry model with newer releases. */
  follow(swap: (next: LocalModel) => Promise<void>): void
}

/** Opens the champion and the challenger, and closes them with the role. */
export async function openServedModels(
  config: ServedConfig,
  role: Role,
  { threads, queue }: { readonly threads: number; readonly queue: QueueLimits },
): Promise<ServedModels> {
  const { log, parts, registry } = role
  const specs = [config.model, config.challenger ?? '']
  const metricsOf = specs.some(isRegistrySpec) ? rollOutMetrics(registry) : undefined
  const rollOuts = new Map<ModelSlot, RollOut>()
  const open = async (
    slot: ModelSlot,
    spec: string,
    needs: Pick<LocalModelOptions, 'threads' | 'isBackground' | 'queue'>,
  ) => {
    if (!metricsOf || !isRegistrySpec(spec)) {
      return parts.use(await openLocalModel(spec, { ...needs, log }))
    }
    const rollOut = await openRollOut(spec, config, role, { ...needs, metrics: metricsOf(slot) })
    rollOuts.set(slot, rollOut)
    return rollOut.model
  }
  const model = await open('model', config.model, { threads, queue })
  const challenger = config.challenger ? await openChallenger(config.challenger) : undefined
  const shadowed = (next: LocalModel) => challenger?.shadow(next) ?? next

  /** The champion does not wait for a challenger that cannot be opened: only a wrong flag stops the server. */
  async function openChallenger(spec: string): Promise<Challenger | undefined> {
    try {
      const hot = new HotModel(await open('challenger', spec, { threads: 1, isBackground: true }))
      rollOuts.get('challenger')?.follow((next) => hot.swap(next))
      return new Challenger(hot, challengerMetrics(registry))
    } catch (err) {
      if (!(err instanceof NustreamError) || (err instanceof UsageError && err.code === 'flag_invalid'))
        throw err
      log.error({ err, challenger: spec }, 'the challenger cannot be opened; the model is served without it')
      return undefined
    }
  }

  return {
    model: shadowed(model),
    details: () =>
      Object.assign({}, ...[...rollOuts].map(([slot, rollOut]) => rollOutDetails(slot, rollOut))),
    follow: (swap) => rollOuts.get('model')?.follow((next) => swap(shadowed(next))),
  }
}
