import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { partitionKeys } from '../../src/broker/redis-keys.ts'
import { podMonitorSchema, scaledObjectSchema, triggerAuthenticationSchema } from '../support/crds.ts'
import {
  type Manifest,
  readBase,
  readKustomization,
  readManifests,
  selects,
  specs,
  toData,
} from '../support/manifests.ts'
import { openPython, runPython } from '../support/python.ts'
import { settingsOf, unknownTo } from '../support/settings-of.ts'

const BASE = 'deploy/kubernetes/base'
const OVERLAY = 'deploy/kubernetes/overlays/cluster'
const python = await openPython()
const kustomize = [
  ['kustomize', 'build'],
  ['kubectl', 'kustomize'],
].find(([program]) => spawnSync(program, ['version', '--client']).error === undefined)
const guide = readFileSync('docs/deployment.md', 'utf8')

const manifests = readBase(BASE)
const deployments = specs(manifests, 'Deployment').map(({ name, spec }) => ({
  name,
  spec,
  pod: spec.template.spec,
  labels: spec.template.metadata.labels,
  container: spec.template.spec.containers[0],
}))
const byName = (name: string) => deployments.find((deployment) => deployment.name === name)
const podsOf = (selector: Parameters<typeof selects>[0]) =>
  deployments.filter(({ labels }) => selects(selector, labels)).map(({ name }) => name)

/** A pod's environment as far as it stands in the manifests. */
function environmentOf({ container }: (typeof deployments)[number]): Record<string, string> {
  const maps = container.envFrom.flatMap(({ configMapRef }) => (configMapRef ? [configMapRef.name] : []))
  const data = maps.map(
    (name) => manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name)?.data,
  )
  const own = container.env.map(({ name, value }) => [name, value ?? '2'])
  return Object.assign({}, ...data, Object.fromEntries(own))
}

describe('the published schemas of Kubernetes', () => {
  it.skipIf(!python)('hold every object of the base', async () => {
    expect(await validate(manifests)).toEqual({
      faults: [],
      unknown: ['PodMonitor', 'ScaledObject', 'TriggerAuthentication'],
    })
  })

  it.skipIf(!python)('refuse a misspelt field', async () => {
    const [deployment] = manifests.filter(({ kind }) => kind === 'Deployment')
    const spec = deployment['spec'] as object
    const { faults } = await validate([{ ...deployment, spec: { ...spec, replica: 1 } }])
    expect(faults.join()).toContain('replica')
  })

  it.skipIf(!python || !kustomize)('hold the overlay as kustomize builds it', async () => {
    const built = readManifests(build(OVERLAY))
    expect((await validate(built)).faults).toEqual([])
    for (const manifest of built.filter(({ kind }) => kind === 'ScaledObject'))
      scaledObjectSchema.parse(manifest)
  })
})

describe('custom resources', () => {
  const schemas = {
    ScaledObject: scaledObjectSchema,
    TriggerAuthentication: triggerAuthenticationSchema,
    PodMonitor: podMonitorSchema,
  }
  it.each(Object.entries(schemas))('%s has only published fields', (kind, schema) => {
    for (const manifest of manifests.filter((its) => its.kind === kind)) schema.parse(manifest)
  })
})

describe('every deployment', () => {
  it('is one for each role', () => {
    expect(deployments.map(({ name }) => name).toSorted()).toEqual([
      'archive',
      'consumer',
      'display',
      'emitter',
      'server',
    ])
  })

  it.each(deployments)('$name selects its own pods and no others', ({ name, spec }) => {
    expect(podsOf(spec.selector)).toEqual([name])
  })

  it.each(deployments)('$name may do nothing that it need not', ({ pod, container }) => {
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(pod.automountServiceAccountToken).toBe(false)
  })

  it.each(deployments)('$name has requests, and bounds of memory and processor', ({ container }) => {
    expect(container.resources).toMatchObject({
      requests: { cpu: expect.any(String), memory: expect.any(String) },
      limits: { cpu: expect.any(String), memory: expect.any(String) },
    })
  })

  it.each(deployments)(
    '$name is restarted when dead and left alone when it merely cannot work',
    async (deployment) => {
      const { container } = deployment
      expect(container.livenessProbe.httpGet).toEqual({ path: '/health/live', port: 'http' })
      expect(container.readinessProbe.httpGet).toEqual({ path: '/health/ready', port: 'http' })
      const settings = await settingsOf(container.args[0], environmentOf(deployment))
      // The display has no default in its settings: it would give way to another program.
      expect(container.ports).toEqual([{ name: 'http', containerPort: settings['port'] ?? 8080 }])
    },
  )

  it.each(deployments)('$name understands every setting it is given', async (deployment) => {
    expect(await unknownTo(deployment.container.args[0], environmentOf(deployment))).toEqual([])
  })

  it.each(deployments)(
    '$name mounts and reads only what there is or what the guide says to make',
    ({ pod, container }) => {
      const has = (kind: string, name: string) =>
        manifests.some((its) => its.kind === kind && its.metadata.name === name)
      const guided = (what: string) => guide.includes(what)
      for (const { configMapRef, secretRef } of container.envFrom) {
        if (configMapRef) expect(has('ConfigMap', configMapRef.name), configMapRef.name).toBe(true)
        if (secretRef) expect(guided(`create secret generic ${secretRef.name}`), secretRef.name).toBe(true)
      }
      for (const { configMap, persistentVolumeClaim: claim } of pod.volumes) {
        if (configMap) expect(guided(`create configmap ${configMap.name}`), configMap.name).toBe(true)
        if (claim) expect(has('PersistentVolumeClaim', claim.claimName), claim.claimName).toBe(true)
      }
      const volumes = pod.volumes.map(({ name }) => name)
      expect(container.volumeMounts.map(({ name }) => name).toSorted()).toEqual(volumes.toSorted())
    },
  )

  it('is one pod where two would do the same work twice', () => {
    for (const name of ['emitter', 'archive'])
      expect(byName(name)?.spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } })
  })

  it('leaves the number of pods to the autoscaler that has it', () => {
    for (const name of ['consumer', 'server']) expect(byName(name)?.spec.replicas).toBeUndefined()
  })

  it('is given the time that a consumer takes to finish', async () => {
    const settings = await settingsOf('consume', { NUSTREAM_BROKER: 'redis://h' })
    const takesMs = Number(settings['shutdownMs']) + Number(settings['mlflowShutdownMs'])
    expect(Number(byName('consumer')?.pod.terminationGracePeriodSeconds) * 1000).toBeGreaterThan(takesMs)
  })
})

describe('what points at the pods', () => {
  it.each(specs(manifests, 'Service'))(
    'service $name leads to a port of one deployment',
    ({ name, spec }) => {
      const [target, ...others] = podsOf({ matchLabels: spec.selector, matchExpressions: [] })
      expect([target, others]).toEqual([name, []])
      const [port] = byName(target)?.container.ports ?? []
      expect(spec.ports).toEqual([{ name: 'http', port: port.containerPort, targetPort: port.name }])
    },
  )

  it.each(specs(manifests, 'PodDisruptionBudget'))(
    'budget $name is of the deployment of its name',
    ({ name, spec }) => {
      expect(podsOf(spec.selector)).toEqual([name])
    },
  )

  it('one autoscaler has each deployment that scales', () => {
    const server = specs(manifests, 'HorizontalPodAutoscaler').map(({ spec }) => spec.scaleTargetRef.name)
    expect([...server, ...scaledObjects(manifests).map(({ spec }) => spec.scaleTargetRef.name)]).toEqual([
      'server',
      'consumer',
    ])
  })

  it('Prometheus finds all of them', () => {
    const [monitor] = manifests
      .filter(({ kind }) => kind === 'PodMonitor')
      .map((its) => podMonitorSchema.parse(its))
    expect(podsOf({ ...monitor.spec.selector, matchExpressions: [] })).toHaveLength(deployments.length)
    for (const { port } of monitor.spec.podMetricsEndpoints) expect(port).toBe('http')
  })
})

describe('scaling on lag', () => {
  it('watches every partition of the stream in the base', () => {
    expectTriggers(manifests, environmentOf(deployments[0]))
  })

  it('watches every partition of the stream in the overlay', () => {
    const settings = readKustomization(OVERLAY).configMapGenerator.find(({ name }) => name === 'nustream')
    const patch = readManifests(readFileSync(join(OVERLAY, 'scaling.yaml'), 'utf8'))
    expectTriggers(patch, toData(settings?.literals ?? []))
  })

  it('logs in with what the pods log in with', () => {
    const [authentication] = manifests
      .filter(({ kind }) => kind === 'TriggerAuthentication')
      .map((its) => triggerAuthenticationSchema.parse(its))
    const [{ spec }] = scaledObjects(manifests)
    expect(spec.triggers.map(({ authenticationRef }) => authenticationRef.name)).toEqual([
      authentication.metadata.name,
    ])
    for (const { name, key } of authentication.spec.secretTargetRef) {
      expect(deployments[0].container.envFrom.map(({ secretRef }) => secretRef?.name)).toContain(name)
      expect(guide).toContain(`--from-literal=${key}=`)
    }
  })
})

describe('network policies', () => {
  const policies = specs(manifests, 'NetworkPolicy')

  it('deny all that is not named, to our pods and to nobody else', () => {
    const deny = policies.find(
      ({ spec }) => spec.policyTypes.length === 2 && spec.ingress.length === 0 && spec.egress.length === 0,
    )
    expect(podsOf(deny?.spec.podSelector ?? { matchLabels: {}, matchExpressions: [] })).toHaveLength(
      deployments.length,
    )
    for (const { spec } of policies)
      expect(spec.podSelector.matchLabels['app.kubernetes.io/name']).toBe('nustream')
  })

  it('let the consumer reach the model server, both ways of the rule, and nobody else', () => {
    const pairs = deployments.flatMap((from) => deployments.map((to) => [from.name, to.name]))
    expect(pairs.filter(([from, to]) => mayReach(from, to))).toEqual([['consumer', 'server']])
  })

  it.each(deployments)(
    'let $name reach Redis and the name service, and Prometheus reach it',
    ({ labels }) => {
      const rules = policies.filter(({ spec }) => selects(spec.podSelector, labels)).map(({ spec }) => spec)
      const out = rules.flatMap(({ egress }) => egress)
      const to = (theirs: Record<string, string>, port: number) =>
        out.some(
          (rule) =>
            rule.ports.some((its) => its.port === port) &&
            rule.to.some((peer) => peer.podSelector && selects(peer.podSelector, theirs)),
        )
      for (const redis of ['redis', 'redis-cluster'])
        expect(to({ 'app.kubernetes.io/name': redis }, 6379)).toBe(true)
      expect(to({ 'k8s-app': 'kube-dns' }, 53)).toBe(true)
      expect(to({ 'app.kubernetes.io/name': 'elsewhere' }, 6379)).toBe(false)
      const monitoring = { 'kubernetes.io/metadata.name': 'monitoring' }
      const from = rules.flatMap(({ ingress }) => ingress).flatMap((rule) => rule.from)
      expect(from.some((peer) => peer.namespaceSelector && selects(peer.namespaceSelector, monitoring))).toBe(
        true,
      )
    },
  )

  /** Whether one of our pods may open a connection to another: both ends must allow it. */
  function mayReach(from: string, to: string): boolean {
    const [a, b] = [byName(from)?.labels ?? {}, byName(to)?.labels ?? {}]
    const port = byName(to)?.container.ports[0]
    const isPort = (its: string | number) => its === port?.name || its === port?.containerPort
    const out = policies.filter(({ spec }) => selects(spec.podSelector, a)).flatMap(({ spec }) => spec.egress)
    const into = policies
      .filter(({ spec }) => selects(spec.podSelector, b))
      .flatMap(({ spec }) => spec.ingress)
    const meets = (peers: (typeof out)[number]['to'], labels: Record<string, string>) =>
      peers.some(
        ({ podSelector, namespaceSelector }) =>
          podSelector && !namespaceSelector && selects(podSelector, labels),
      )
    return (
      out.some((rule) => rule.ports.some((its) => isPort(its.port)) && meets(rule.to, b)) &&
      into.some((rule) => rule.ports.some((its) => isPort(its.port)) && meets(rule.from, a))
    )
  }
})

describe('the overlay', () => {
  const overlay = readKustomization(OVERLAY)

  it('changes only what the base has', () => {
    const has = (kind: string, name: string) =>
      manifests.some((its) => its.kind === kind && its.metadata.name === name)
    for (const { name, behavior } of overlay.configMapGenerator)
      expect([behavior, has('ConfigMap', name)]).toEqual(['merge', true])
    const targets = overlay.patches.flatMap(({ path, target }) =>
      path
        ? readManifests(readFileSync(join(OVERLAY, path), 'utf8'))
        : [{ kind: target?.kind ?? '', metadata: { name: target?.name ?? '' } }],
    )
    for (const { kind, metadata } of targets)
      expect(has(kind, metadata.name), `${kind} ${metadata.name}`).toBe(true)
    for (const resource of overlay.resources) expect(existsSync(join(OVERLAY, resource))).toBe(true)
  })

  it.skipIf(!kustomize)('is what kustomize builds of it', () => {
    const built = readManifests(build(OVERLAY))
    expect(
      built
        .filter(({ kind }) => kind !== 'ConfigMap')
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
        .toSorted(),
    ).toEqual(
      manifests
        .filter(({ kind }) => kind !== 'ConfigMap')
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
        .toSorted(),
    )
    const consumer = specs(built, 'Deployment').find(({ name }) => name === 'consumer')?.spec.template.spec
    expect(consumer?.containers[0]).toMatchObject({
      image: 'registry.example.org/nustream:0.1.0',
      args: ['consume'],
    })
    expect(consumer?.volumes.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['models', 'tmp', 'broker-ca']),
    )
    expectTriggers(
      built,
      built.find(({ metadata }) => /^nustream-[^-]+$/.test(metadata.name) && metadata)?.data ?? {},
    )
  })
})

function scaledObjects(its: readonly Manifest[]) {
  return its
    .filter(({ kind }) => kind === 'ScaledObject')
    .map((manifest) => scaledObjectSchema.parse(manifest))
}

/** One trigger for each partition, on its stream of batches and our group, on the address that the parts use. */
function expectTriggers(its: readonly Manifest[], settings: Readonly<Record<string, string>>): void {
  const triggers = its
    .filter(({ kind }) => kind === 'ScaledObject')
    .flatMap((manifest) => {
      const { spec } = scaledObjectSchema
        .extend({ spec: scaledObjectSchema.shape.spec.partial() })
        .parse(manifest)
      return spec.triggers ?? []
    })
  const partitions = Number(settings['NUSTREAM_PARTITIONS'])
  const streams = Array.from(
    { length: partitions },
    (_, partition) => partitionKeys('nustream', partition).batches,
  )
  expect(triggers.map(({ metadata }) => metadata.stream)).toEqual(streams)
  for (const { type, metadata } of triggers) {
    const address = type === 'redis-streams' ? metadata.address : metadata.addresses
    expect(settings['NUSTREAM_BROKER']).toContain(`//${address}`)
    expect(metadata).toMatchObject({ consumerGroup: 'nustream', enableTLS: 'true' })
    expect(settings['NUSTREAM_BROKER']).toMatch(type === 'redis-streams' ? /^rediss:/ : /^rediss\+cluster:/)
  }
}

async function validate(its: readonly object[]): Promise<{ faults: string[]; unknown: string[] }> {
  if (python === undefined) throw new Error('there is no Python here')
  const input = Buffer.from(JSON.stringify(its))
  const out = await runPython(python, ['test/integration/validate_kubernetes.py'], { input })
  return JSON.parse(out.toString()) as { faults: string[]; unknown: string[] }
}

function build(folder: string): string {
  const [program, ...words] = kustomize ?? []
  return execFileSync(program, [...words, folder], { encoding: 'utf8' })
}
