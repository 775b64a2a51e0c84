import { readFileSync } from 'node:fs'
import { type Metric, Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { archiveMetrics } from '../src/archive/metrics.ts'
import { brokerMetrics } from '../src/broker/metrics.ts'
import { consumerMetrics } from '../src/consumer/metrics.ts'
import { displayMetrics } from '../src/display/metrics.ts'
import { emitterMetrics } from '../src/emitter/metrics.ts'
import { rollOutMetrics } from '../src/inference/release/roll-out.ts'
import { mlflowMetrics } from '../src/mlflow/metrics.ts'
import { challengerMetrics } from '../src/server/challenger.ts'
import { queueMetrics, serverMetrics } from '../src/server/metrics.ts'
import { sourceMetrics } from '../src/source/open.ts'
import { heartbeatGauge } from '../src/telemetry/heartbeat.ts'
import { processMetrics } from '../src/telemetry/server.ts'

const NO_SERVER = { bodiesBytes: () => 0, model: () => ({ name: 'm', version: '1' }) }

/** What each section of the page is about, by its heading. */
const SECTIONS: Record<string, (registry: Registry) => unknown> = {
  Liveness: (registry) => {
    heartbeatGauge(registry)
    processMetrics(registry, { version: '1', role: 'test' })
  },
  'Connection to the broker': (registry) => brokerMetrics(registry),
  Emitter: (registry) => [emitterMetrics(registry), sourceMetrics(registry)],
  Consumer: (registry) => consumerMetrics(registry),
  'Model server': (registry) => [serverMetrics(registry, NO_SERVER), queueMetrics(registry)],
  'Registry models': (registry) => rollOutMetrics(registry)('model'),
  Challenger: (registry) => challengerMetrics(registry),
  MLflow: (registry) => mlflowMetrics(registry),
  Archive: (registry) => archiveMetrics(registry),
  Display: (registry) => displayMetrics(registry),
  'The process': (registry) => processMetrics(registry, { version: '1', role: 'test' }),
}

/** What every role has: those of nustream under one heading, those of the process under another. */
function belongsTo(section: string, name: string): boolean {
  if (section === 'The process') return !name.startsWith('nustream_') && !isDetail(name)
  return name.startsWith('nustream_')
}

/** Details of Node that the page leaves to prom-client. */
function isDetail(name: string): boolean {
  return name.startsWith('nodejs_') && name !== 'nodejs_eventloop_lag_p99_seconds'
}

const page = readFileSync(new URL('../docs/metrics.md', import.meta.url), 'utf8')

function documented(section: string): string[] {
  const part = page.split(/^## /m).find((text) => text.startsWith(section)) ?? ''
  const rows = part.matchAll(/^\| `(\w+)` \| (\w+) \|([^|]*)\|[^|]*\|[^|]+\|$/gm)
  return [...rows]
    .map(([, name, type, labels]) => `${name} ${type} ${labels.replaceAll(/[`\s]/g, '')}`)
    .sort()
}

async function declared(section: string): Promise<string[]> {
  const registry = new Registry()
  SECTIONS[section](registry)
  const metrics = await registry.getMetricsAsJSON()
  return metrics
    .filter(({ name }) => belongsTo(section, name))
    .map(({ name, type }) => {
      // Label names are a plain property of every prom-client metric that its types leave out.
      const { labelNames } = registry.getSingleMetric(name) as Metric & { labelNames: string[] }
      return `${name} ${type} ${labelNames.join(',')}`
    })
    .sort()
}

// Some process metrics come from /proc, which only Linux has.
const COMPARABLE = Object.keys(SECTIONS).filter(
  (name) => process.platform === 'linux' || name !== 'The process',
)

it.each(COMPARABLE)('docs/metrics.md lists the metrics of "%s", and no other', async (section) => {
  expect(documented(section)).toEqual(await declared(section))
})

it('docs/metrics.md has no table that no test compares', () => {
  const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)
  for (const heading of headings) {
    expect(Object.keys(SECTIONS).some((section) => heading.startsWith(section))).toBe(true)
  }
  const tableRows = page.match(/^\| `/gm)?.length
  expect(Object.keys(SECTIONS).flatMap(documented)).toHaveLength(tableRows ?? 0)
})

it.each(Object.keys(SECTIONS))('metrics of "%s" are named by the rules', async (section) => {
  for (const line of await declared(section)) {
    const [name, type] = line.split(' ')
    if (!name.startsWith('nustream_')) continue
    expect(name.endsWith('_total')).toBe(type === 'counter')
  }
})
