import { Counter, Gauge, type Registry } from 'prom-client'

/** Which of the models of a process: the one that answers, or the one that shadows it. */
export type ModelSlot = 'model' | 'challenger'
const OUTCOMES = ['swapped', 'refused', 'rolled_back'] as const

/** How replacing one model goes. */
export interface RollOutMetrics {
  swapped(outcome: (typeof OUTCOMES)[number]): void
  registryUp(isUp: boolean): void
  refused(isRefused: boolean): void
}

/** Metrics of all models of a process that come from a registry. */
export function rollOutMetrics(registry: Registry): (slot: ModelSlot) => RollOutMetrics {
  const registers = [registry]
  const swaps = new Counter({
    name: 'nustream_model_swaps_total',
    help: 'New releases of a model by what became of them.',
    labelNames: ['slot', 'outcome'] as const,
    registers,
  })
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `nustream_model_${name}`, help, labelNames: ['slot'] as const, registers })
  const up = gauge('registry_up', '1 where the registry answered the last time it was asked for a release.')
  const refused = gauge(
    'release_refused',
    '1 while the registry names a release that failed here, so that an older one stays in use.',
  )
  return (slot) => {
    for (const outcome of OUTCOMES) swaps.inc({ slot, outcome }, 0)
    refused.set({ slot }, 0)
    return {
      swapped: (outcome) => swaps.inc({ slot, outcome }),
      registryUp: (isUp) => up.set({ slot }, isUp ? 1 : 0),
      refused: (isRefused) => refused.set({ slot }, isRefused ? 1 : 0),
    }
  }
}
