import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { BASE } from '../support/kubernetes.ts'
import { type Manifest, readBase, readManifests } from '../support/manifests.ts'
import { PROMETHEUS } from '../support/prometheus-files.ts'
import { NO_PYTHON, openPython, runPython } from '../support/python.ts'
import { unknownTo } from '../support/settings-of.ts'

const CHART = 'deploy/helm'
const DASHBOARDS = 'deploy/grafana/dashboards'

const python = await openPython()

interface Rendered {
  readonly text?: string
  readonly problems?: readonly string[]
  readonly refused?: string
}

async function render(values: object = {}): Promise<Rendered> {
  if (python === undefined) throw new Error(NO_PYTHON)
  const input = Buffer.from(JSON.stringify(values))
  const out = await runPython(python, ['test/integration/render_helm.py', CHART], { input })
  return JSON.parse(out.toString()) as Rendered
}

async function objects(values: object = {}): Promise<Manifest[]> {
  const { text, refused } = await render(values)
  if (text === undefined) throw new Error(refused)
  return readManifests(text)
}

const key = ({ kind, metadata }: Manifest) => `${kind} ${metadata.name}`

/** What the chart and the base may differ in: the image's name, and what rolls the pods when settings change. */
function comparable(manifest: Manifest): unknown {
  return JSON.parse(JSON.stringify(manifest), (name, value: unknown) =>
    name === 'image' || name === 'imagePullPolicy' || name === 'annotations' || name === 'namespace'
      ? undefined
      : value,
  )
}

describe('the Helm chart', () => {
  beforeEach((t) => t.skip(python === undefined, NO_PYTHON))

  it('has no error that Helm finds', async () => {
    expect((await render()).problems).toEqual([])
  })

  it('renders the objects of the base, by its default values', async () => {
    const rendered = new Map((await objects()).map((its) => [key(its), its]))
    // Settings are compared below, and the chart has a ServiceMonitor in place of the PodMonitor.
    const base = readBase(BASE).filter(({ kind }) => kind !== 'ConfigMap' && kind !== 'PodMonitor')
    expect(base.length).toBeGreaterThan(15)
    for (const its of base) {
      const same = rendered.get(key(its))
      expect(same && comparable(same), key(its)).toEqual(comparable(its))
    }
  })

  it('renders objects that the published schemas of Kubernetes accept', async () => {
    const input = Buffer.from(JSON.stringify(await objects()))
    const out = await runPython(python ?? '', ['test/integration/validate_kubernetes.py'], { input })
    expect(JSON.parse(out.toString())).toEqual({
      faults: [],
      unknown: ['PrometheusRule', 'ScaledObject', 'ServiceMonitor', 'TriggerAuthentication'],
    })
  })

  it.each([
    { role: 'emit', maps: ['nustream', 'nustream-emitter'] },
    { role: 'consume', maps: ['nustream', 'nustream-consumer'] },
    { role: 'serve', maps: ['nustream', 'nustream-model'] },
  ])('gives $role settings that it understands', async ({ role, maps }) => {
    const all = await objects()
    const data = maps.map((name) => all.find((its) => key(its) === `ConfigMap ${name}`)?.data)
    expect(await unknownTo(role, Object.assign({}, ...data))).toEqual([])
  })

  it('carries the alert rules and the dashboards of this repository', async () => {
    const all = await objects()
    const rules = all.filter(({ kind }) => kind === 'PrometheusRule').map((its) => its['spec'])
    const files = readdirSync(join(PROMETHEUS, 'rules')).map((name) => join(PROMETHEUS, 'rules', name))
    expect(rules).toEqual(files.map((path) => parse(readFileSync(path, 'utf8'))))
    const map = all.find((its) => key(its) === 'ConfigMap nustream-dashboards')?.data ?? {}
    const dashboards = readdirSync(DASHBOARDS).map((name) => join(DASHBOARDS, name))
    expect(Object.keys(map)).toEqual(dashboards.map((path) => basename(path)))
    for (const path of dashboards) expect(map[basename(path)]).toBe(readFileSync(path, 'utf8'))
  })

  it('leaves out what is switched off', async () => {
    const off = { enabled: false }
    const monitoring = { serviceMonitor: off, rules: off, dashboards: off }
    const few = await objects({ keda: off, networkPolicies: off, archive: off, display: off, monitoring })
    const kinds = new Set(few.map(({ kind }) => kind))
    for (const kind of ['ScaledObject', 'NetworkPolicy', 'ServiceMonitor', 'PrometheusRule'])
      expect(kinds).not.toContain(kind)
    expect(few.map(key)).not.toContain('Deployment archive')
    expect(few.map(key)).toContain('Deployment consumer')
  })

  it.each([
    { name: 'a value that there is not', values: { emiter: {} } },
    { name: 'a rate below 0', values: { emitter: { rate: -1 } } },
    {
      name: 'a password in the URL of the broker',
      values: { broker: { url: 'redis://user:secret@h:6379' } },
    },
    { name: 'no consumer at all', values: { consumer: { minReplicas: 0 } } },
    { name: 'a log level that there is not', values: { logLevel: 'loud' } },
  ])('refuses $name', async ({ values }) => {
    expect((await render(values)).refused).toContain('values')
  })
})
