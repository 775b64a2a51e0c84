import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { knownMetrics, metricsIn, readRules } from '../support/prometheus-files.ts'

const GRAFANA = fileURLToPath(new URL('../../deploy/grafana', import.meta.url))
const OPERATIONS = fileURLToPath(new URL('../../docs/operations.md', import.meta.url))

// The documented form and ranges of the dashboards of Grafana 12.3 (schema version 42).
const gridPos = z
  .strictObject({
    x: z.int().min(0).max(23),
    y: z.int().min(0),
    w: z.int().min(1).max(24),
    h: z.int().min(1),
  })
  .refine(({ x, w }) => x + w <= 24, 'leaves the grid')
const UNITS = ['s', 'short', 'percentunit', 'bytes', 'evs', 'reqps', 'bool_yes_no', 'suffix: rad']
const datasource = z.strictObject({ type: z.literal('prometheus'), uid: z.literal(`\${datasource}`) })
const steps = z
  .array(
    z.strictObject({ color: z.enum(['green', 'orange', 'red']), value: z.union([z.number(), z.null()]) }),
  )
  .min(1)
  .refine(([first]) => first.value === null, 'the first step begins at minus infinity')
const panel = z.object({
  id: z.int().positive(),
  type: z.enum(['timeseries', 'stat', 'table', 'heatmap']),
  title: z.string().min(1),
  description: z.string().min(10),
  gridPos,
  datasource,
  targets: z
    .array(z.object({ refId: z.string().regex(/^[A-Z]$/), datasource, expr: z.string().min(1) }))
    .min(1),
  fieldConfig: z.object({
    defaults: z.object({
      unit: z.enum(UNITS),
      thresholds: z.strictObject({ mode: z.literal('absolute'), steps }),
    }),
    overrides: z.array(z.unknown()),
  }),
  links: z.array(z.object({ url: z.string(), type: z.literal('link') })).optional(),
  options: z.record(z.string(), z.unknown()),
})
const row = z.strictObject({
  id: z.int().positive(),
  type: z.literal('row'),
  title: z.string().min(1),
  collapsed: z.boolean(),
  panels: z.array(z.never()),
  gridPos,
})
const dashboard = z.object({
  uid: z.string().min(8).max(40),
  title: z.string().min(1),
  description: z.string().min(10),
  schemaVersion: z.literal(42),
  refresh: z.string(),
  tags: z.array(z.string()).min(1),
  links: z.array(z.object({ type: z.literal('dashboards'), tags: z.array(z.string()) })).min(1),
  panels: z.array(z.union([row, panel])).min(5),
})

const paths = readdirSync(join(GRAFANA, 'dashboards')).map((name) => join(GRAFANA, 'dashboards', name))

describe.each(paths.map((path) => [basename(path), path]))('%s', (_, path) => {
  const file = dashboard.parse(JSON.parse(readFileSync(path, 'utf8')))
  const panels = file.panels.filter((entry) => entry.type !== 'row')

  it('numbers panels and queries once each', () => {
    expect(new Set(file.panels.map(({ id }) => id)).size).toBe(file.panels.length)
    for (const entry of panels) {
      expect(new Set(entry.targets.map(({ refId }) => refId)).size).toBe(entry.targets.length)
    }
  })

  it('puts no panel on another', () => {
    const taken = new Map<string, string>()
    for (const { title, gridPos } of file.panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x} ${y}`), `${title} at ${x} ${y}`).toBeUndefined()
          taken.set(`${x} ${y}`, title)
        }
      }
    }
  })

  it('shows only metrics that exist', () => {
    const known = knownMetrics()
    const named = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => metricsIn(expr)))
    expect(named.filter((name) => !known.has(name))).toEqual([])
  })

  it('links to sections that docs/operations.md has', () => {
    const text = readFileSync(OPERATIONS, 'utf8')
    const anchors = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading.toLowerCase().replaceAll(' ', '-'),
    )
    const wanted = panels.flatMap(({ links = [] }) => links.map(({ url }) => url.split('#')[1]))
    expect(wanted.filter((anchor) => !anchors.includes(anchor))).toEqual([])
  })
})

describe('deploy/grafana/provisioning', () => {
  const read = (path: string) => parse(readFileSync(join(GRAFANA, path), 'utf8'))
  const source = z
    .strictObject({
      apiVersion: z.literal(1),
      datasources: z
        .array(z.looseObject({ name: z.string(), uid: z.string(), type: z.literal('prometheus') }))
        .length(1),
    })
    .parse(read('provisioning/datasources/prometheus.yaml')).datasources[0]

  const alertFile = z.strictObject({
    apiVersion: z.literal(1),
    groups: z.array(
      z.strictObject({
        orgId: z.int(),
        name: z.string(),
        folder: z.string(),
        interval: z.string().regex(/^\d+s$/),
        rules: z.array(
          z.strictObject({
            uid: z.string().max(40),
            title: z.string(),
            condition: z.literal('B'),
            data: z
              .array(
                z.strictObject({
                  refId: z.string(),
                  relativeTimeRange: z.strictObject({ from: z.int(), to: z.int() }),
                  datasourceUid: z.enum([source.uid, '__expr__']),
                  model: z.looseObject({ refId: z.string(), expr: z.string().optional() }),
                }),
              )
              .length(2),
            noDataState: z.enum(['NoData', 'Alerting', 'OK']),
            execErrState: z.enum(['OK', 'Alerting', 'Error']),
            for: z.string(),
            labels: z.record(z.string(), z.string()),
            annotations: z.record(z.string(), z.string()),
            isPaused: z.literal(false),
          }),
        ),
      }),
    ),
  })
  const { rules } = alertFile.parse(read('provisioning/alerting/nustream-rules.json')).groups[0]

  it('has alerts for missing heartbeats and high latency, which ask what those of Prometheus ask', () => {
    const titles = rules.map(({ title }) => title)
    expect(titles).toContain('NustreamHeartbeatMissing')
    expect(titles).toContain('NustreamLatencyHigh')
    for (const rule of rules) {
      const alert = readRules().find(({ alert }) => alert === rule.title)
      expect(rule.data[0].model.expr).toBe(alert?.expr.trim())
      expect(rule.labels).toEqual(alert?.labels)
      expect(rule.for).toBe(alert?.for ?? '0s')
      // Prometheus's `$value` is a number; Grafana's is a text, and the number is in `$values`.
      const annotations = JSON.stringify(alert?.annotations).replaceAll('$value', '$values.A.Value')
      expect(JSON.stringify(rule.annotations)).toBe(annotations)
    }
  })

  it('loads dashboards from where the compose files put them', () => {
    const { providers } = read('provisioning/dashboards/nustream.yaml')
    const parts = readFileSync(fileURLToPath(new URL('../../deploy/parts.yaml', import.meta.url)), 'utf8')
    expect(parts).toContain(`./grafana/dashboards:${providers[0].options.path}`)
    expect(parts).toContain('./grafana/provisioning:/etc/grafana/provisioning')
    expect(parts).toContain(`${String(source['url']).slice(1)}:`)
  })

  it('has an example of contact points whose policy names them', () => {
    const { contactPoints, policies } = read('examples/contact-points.yaml')
    const names = contactPoints.map(({ name }: { name: string }) => name)
    expect(names).toContain(policies[0].receiver)
    for (const { receiver } of policies[0].routes) expect(names).toContain(receiver)
  })
})
