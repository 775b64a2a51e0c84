import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

/** Folder of the shipped configuration. */
export const PROMETHEUS = fileURLToPath(new URL('../../deploy/prometheus', import.meta.url))

export interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly for?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** Text of each rule file by name. */
export function ruleFiles(): Record<string, string> {
  const folder = join(PROMETHEUS, 'rules')
  return Object.fromEntries(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const),
  )
}

export function readRules(): Rule[] {
  // promtool checks the form of the files.
  return Object.values(ruleFiles()).flatMap((text) =>
    (parse(text) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules),
  )
}

/** Names of the metrics in docs/metrics.md, with the series of histograms, and of recorded metrics. */
export function knownMetrics(): Set<string> {
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  const known = new Set<string>()
  for (const [, name, type] of page.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)) {
    known.add(name)
    if (type === 'histogram') for (const end of ['bucket', 'sum', 'count']) known.add(`${name}_${end}`)
  }
  for (const { record } of readRules()) if (record) known.add(record)
  return known
}

/** Metrics in a PromQL expression: all names that are not functions, keywords, labels or strings. */
export function metricsIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/"[^"]*"/g, '')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)/g, '')
  return [...bare.matchAll(/\b(?:nustream|process|nodejs)[_:][\w:]+/g)].map(([name]) => name)
}
