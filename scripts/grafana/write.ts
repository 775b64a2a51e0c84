/**
 * Writes dashboards and alert rules of Grafana into deploy/grafana: `node scripts/grafana/write.ts`.
 * A test holds the files to this.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { alertRules } from './alert-rules.ts'
import { broker } from './broker.ts'
import { type DashboardPlan, toDashboard } from './dashboard.ts'
import { latency } from './latency.ts'
import { overview } from './overview.ts'
import { quality } from './quality.ts'

export const DASHBOARDS: readonly DashboardPlan[] = [overview, latency, quality, broker]

const FOLDER = fileURLToPath(new URL('../../deploy/grafana/', import.meta.url))

/** Text of every generated file by its path. */
export function grafanaFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  const text = (value: object) => `${JSON.stringify(value, undefined, 2)}\n`
  for (const plan of DASHBOARDS) files.set(`${FOLDER}dashboards/${plan.uid}.json`, text(toDashboard(plan)))
  // Grafana reads JSON here as it reads YAML.
  files.set(`${FOLDER}provisioning/alerting/nustream-rules.json`, text(alertRules()))
  return files
}

if (import.meta.main) {
  for (const [path, text] of grafanaFiles()) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    console.log(path)
  }
}
