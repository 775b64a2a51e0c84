import { Counter, Gauge, type Registry } from 'prom-client'

export type RollOutMetrics = ReturnType<typeof rollOutMetrics>

const OUTCOMES = ['swapped', 'refused', 'rolled_back'] as const

/** How replacing models goes. */
export function rollOutMetrics(registry: Registry) {
  const registers = [registry]
  const swaps = new Counter({
    name: 'nustream_model_swaps_total',
    help: 'New releases of the model by what became of them.',
    labelNames: ['outcome'] as const,
    registers,
  })
  for (const outcome of OUTCOMES) swaps.inc({ outcome }, 0)
  return {
    swaps,
    registryUp: new Gauge({
      name: 'nustream_model_registry_up',
      help: '1 where the registry answered the last time it was asked for a newer release.',
      registers,
    }),
    refused: new Gauge({
      name: 'nustream_model_release_refused',
      help: '1 while the registry names a release that failed here, so that an older one stays in use.',
      registers,
    }),
  }
}
