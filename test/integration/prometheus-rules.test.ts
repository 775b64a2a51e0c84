import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { runPrometheusProgram } from '../support/prometheus.ts'
import { knownMetrics, metricsIn, PROMETHEUS, readRules } from '../support/prometheus-files.ts'

const ALERTMANAGER = fileURLToPath(new URL('../../deploy/alertmanager/alertmanager.yml', import.meta.url))
const OPERATIONS = fileURLToPath(new URL('../../docs/operations.md', import.meta.url))

const rules = readRules()
const alerts = rules.filter((rule) => rule.alert !== undefined)
const testFiles = readdirSync(join(PROMETHEUS, 'tests')).map((name) => join(PROMETHEUS, 'tests', name))

interface RuleTest {
  readonly name: string
  /** Missing in those that test recorded values. */
  readonly alert_rule_test?: readonly {
    readonly alertname: string
    readonly exp_alerts?: readonly unknown[]
  }[]
}

const cases = testFiles.flatMap((path) => (parse(readFileSync(path, 'utf8')) as { tests: RuleTest[] }).tests)

describe('deploy/prometheus', () => {
  it.each(['prometheus.yml', 'prometheus.compose.yml'])('promtool accepts %s and its rules', (name) => {
    const { status, output } = runPrometheusProgram('promtool', ['check', 'config', join(PROMETHEUS, name)])
    expect(output).toContain('2 rule files found')
    expect(status, output).toBe(0)
  })

  it('promtool sees each alert fire when it should and be quiet when it should', () => {
    const { status, output } = runPrometheusProgram('promtool', ['test', 'rules', ...testFiles])
    expect(status, output).toBe(0)
    expect(output.match(/SUCCESS/g)).toHaveLength(testFiles.length)
  })

  it('has one configuration for one host and for containers, but for how consumers are found', () => {
    const config = (name: string) => {
      const text = readFileSync(join(PROMETHEUS, name), 'utf8')
      return parse(text) as { scrape_configs: { job_name: string; dns_sd_configs?: { names: string[] }[] }[] }
    }
    const {
      scrape_configs: [parts, ...others],
      ...rest
    } = config('prometheus.compose.yml')
    const { dns_sd_configs: [found] = [], ...same } = parts
    expect(found).toEqual({ names: ['consumer'], type: 'A', port: 9102, refresh_interval: '5s' })
    const { relabel_configs: _, ...bare } = same as typeof same & { relabel_configs: unknown }
    expect({ ...rest, scrape_configs: [bare, ...others] }).toEqual(config('prometheus.yml'))
  })

  it('lists the same parts for one host and for containers, on the ports of the command line', () => {
    const ports = (folder: string) => {
      const text = readFileSync(join(PROMETHEUS, folder, 'nustream.yml'), 'utf8')
      const list = parse(text) as { targets: string[]; labels: { part: string; cube: string } }[]
      return list.map(({ targets, labels }) => [labels.cube, labels.part, targets[0].split(':')[1]].join(' '))
    }
    // Compose scales consumers, so Prometheus finds them by name.
    expect(ports('targets').filter((part) => !part.includes('consumer'))).toEqual(ports('targets-compose'))
    expect(ports('targets')).toEqual([
      '1 emitter 9101',
      '2 consumer 9102',
      '2 server 8500',
      '2 archive 9103',
      '2 display 8080',
    ])
  })

  it.each(rules.map((rule) => [rule.alert ?? rule.record ?? '', rule.expr]))(
    '%s asks only for metrics that exist',
    (_, expression) => {
      const known = knownMetrics()
      expect(metricsIn(expression).filter((name) => !known.has(name))).toEqual([])
    },
  )
})

describe.each(alerts.map((rule) => [rule.alert ?? '', rule] as const))('%s', (name, rule) => {
  it('says how bad it is, what is the matter, and where to read on', () => {
    expect(['critical', 'warning']).toContain(rule.labels?.['severity'])
    expect(Object.keys(rule.annotations ?? {})).toEqual(['summary', 'description', 'runbook_url'])
    const [page, anchor] = (rule.annotations?.['runbook_url'] ?? '').split('#')
    expect(page).toBe('docs/operations.md')
    const anchors = [...readFileSync(OPERATIONS, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    )
    expect(anchors).toContain(anchor)
  })

  it('has a case in which it fires and one in which it does not', () => {
    const own = cases.filter((test) => test.alert_rule_test?.every(({ alertname }) => alertname === name))
    const fires = (test: RuleTest) => test.alert_rule_test?.some(({ exp_alerts }) => exp_alerts?.length)
    expect(own.filter(fires).length).toBeGreaterThan(0)
    expect(own.filter((test) => !fires(test)).length).toBeGreaterThan(0)
  })
})

describe('deploy/alertmanager', () => {
  it('amtool accepts the example', () => {
    const { status, output } = runPrometheusProgram('amtool', ['check-config', ALERTMANAGER])
    expect(status, output).toBe(0)
  })

  it('holds back only alerts that there are', () => {
    const text = readFileSync(ALERTMANAGER, 'utf8')
    const named = new Set(text.match(/Nustream\w+/g))
    expect([...named].filter((name) => !alerts.some(({ alert }) => alert === name))).toEqual([])
  })
})
