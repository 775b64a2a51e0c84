import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client'

export interface BuildInfo {
  readonly version: string
  readonly role: string
}

/** Memory, CPU, event loop and garbage collection of this process, and which build of nustream it runs. */
export function processMetrics(registry: Registry, { version, role }: BuildInfo): void {
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'nustream_build_info',
    help: 'Always 1; the labels say which build runs in which role on which Node.',
    labelNames: ['version', 'role', 'node'] as const,
    registers: [registry],
  }).set({ version, role, node: process.version }, 1)
}
