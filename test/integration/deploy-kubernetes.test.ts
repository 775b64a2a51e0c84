import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { podMonitorSchema, scaledObjectSchema, triggerAuthenticationSchema } from '../support/crds.ts'
import {
  build,
  byName,
  deployments,
  environmentOf,
  kustomize,
  manifests,
  NO_KUSTOMIZE,
  OVERLAY,
  podsOf,
  scaledObjects,
} from '../support/kubernetes.ts'
import { readKustomization, readManifests, specs } from '../support/manifests.ts'
import { NO_PYTHON, openPython, runPython } from '../support/python.ts'
import { settingsOf, unknownTo } from '../support/settings-of.ts'

const python = await openPython()
const guide = readFileSync('docs/deployment.md', 'utf8')

describe('the published schemas of Kubernetes', () => {
  it('hold every object of the base', async (t) => {
    t.skip(!python, NO_PYTHON)
    expect(await validate(manifests)).toEqual({
      faults: [],
      unknown: ['PodMonitor', 'ScaledObject', 'TriggerAuthentication'],
    })
  })

  it('refuse a misspelt field', async (t) => {
    t.skip(!python, NO_PYTHON)
    const [deployment] = manifests.filter(({ kind }) => kind === 'Deployment')
    const spec = deployment['spec'] as object
    const { faults } = await validate([{ ...deployment, spec: { ...spec, replica: 1 } }])
    expect(faults.join()).toContain('replica')
  })

  it('hold the overlay as kustomize builds it', async (t) => {
    t.skip(!python, NO_PYTHON)
    t.skip(!kustomize, NO_KUSTOMIZE)
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
      seccompProfile: { type: 'RuntimeDefault' },
    })
    // The image says which user; OpenShift gives each project one of its own and refuses pods that name another.
    expect(pod.securityContext).not.toHaveProperty('runAsUser')
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

  it.each(['server', 'consumer'])('%s keeps models of a registry where it may write', (name) => {
    const container = byName(name)?.container
    const cache = container?.env.find((variable) => variable.name === 'NUSTREAM_MODEL_CACHE')?.value
    expect(container?.volumeMounts.some(({ mountPath }) => cache?.startsWith(`${mountPath}/`))).toBe(true)
  })

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

  it('is what kustomize builds of it', (t) => {
    t.skip(!kustomize, NO_KUSTOMIZE)
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
  })
})

async function validate(its: readonly object[]): Promise<{ faults: string[]; unknown: string[] }> {
  if (python === undefined) throw new Error('there is no Python here')
  const input = Buffer.from(JSON.stringify(its))
  const out = await runPython(python, ['test/integration/validate_kubernetes.py'], { input })
  return JSON.parse(out.toString()) as { faults: string[]; unknown: string[] }
}
