import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { partitionKeys } from '../../src/broker/redis/layout.ts'
import { BACKLOG_MAX_EVENTS } from '../../src/emitter/emit.ts'
import { triggerAuthenticationSchema } from '../support/crds.ts'
import {
  build,
  deployments,
  environmentOf,
  kustomize,
  manifests,
  NO_KUSTOMIZE,
  OVERLAY,
  scaledObjects,
  triggersOf,
} from '../support/kubernetes.ts'
import { type Manifest, readKustomization, readManifests, toData } from '../support/manifests.ts'

const guide = readFileSync('docs/deployment.md', 'utf8')

describe('scaling on lag', () => {
  it('watches every partition of the stream in the base', () => {
    expectTriggers(manifests, environmentOf(deployments[0]))
  })

  it('watches every partition of the stream in the overlay', () => {
    const settings = readKustomization(OVERLAY).configMapGenerator.find(({ name }) => name === 'nustream')
    const patch = readManifests(readFileSync(join(OVERLAY, 'scaling.yaml'), 'utf8'))
    expectTriggers(patch, toData(settings?.literals ?? []))
  })

  it('asks for as many consumers in the overlay as in the base, for the same lag of all partitions', () => {
    const lagOf = (its: readonly Manifest[]) =>
      triggersOf(its).map(({ metadata }) => Number(metadata.lagCount))
    const [single] = lagOf(manifests)
    const parts = lagOf(readManifests(readFileSync(join(OVERLAY, 'scaling.yaml'), 'utf8')))
    expect(parts).toEqual(parts.map(() => single / parts.length))
  })

  it.each([
    { name: 'base', its: () => manifests, settings: settingsOfEmitter },
    {
      name: 'overlay',
      its: () => readManifests(readFileSync(join(OVERLAY, 'scaling.yaml'), 'utf8')),
      settings: () => {
        const maps = readKustomization(OVERLAY).configMapGenerator
        return toData(maps.find(({ name }) => name === 'nustream-emitter')?.literals ?? [])
      },
    },
  ])('lets the backlog of the $name grow until KEDA asks for the most consumers', ({ its, settings }) => {
    const backlogMax = Number(settings()['NUSTREAM_BACKLOG_MAX'] ?? BACKLOG_MAX_EVENTS)
    const [maxReplicas] = its().flatMap(({ kind, spec }) =>
      kind === 'ScaledObject' ? [(spec as { maxReplicaCount: number }).maxReplicaCount] : [],
    )
    const triggers = triggersOf(its())
    // A paused emitter continues at 80 %.
    const unread = (0.8 * backlogMax) / BATCH_EVENTS / triggers.length
    // Batches on loan count to the backlog and not to the lag: four for each consumer.
    const lag = unread - (4 * maxReplicas) / triggers.length
    expect(lag / Number(triggers[0].metadata.lagCount)).toBeGreaterThanOrEqual(maxReplicas)
  })

  it('leaves no master of the overlay idle', () => {
    const { cluster } = parse(readFileSync('deploy/kubernetes/redis-cluster.values.yaml', 'utf8')) as Values
    const masters = cluster.nodes / (1 + cluster.replicas)
    const busy = (partitions: number) => {
      const keys = Array.from({ length: partitions }, (_, index) => partitionKeys('nustream', index).batches)
      return new Set(keys.map((key) => Math.floor((slotOf(key) * masters) / SLOTS))).size
    }
    const partitions = triggersOf(readManifests(readFileSync(join(OVERLAY, 'scaling.yaml'), 'utf8'))).length
    expect([busy(partitions), busy(partitions - 1)]).toEqual([masters, masters - 1])
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

  it('watches every partition in what kustomize builds of the overlay', (t) => {
    t.skip(!kustomize, NO_KUSTOMIZE)
    const built = readManifests(build(OVERLAY))
    const settings = built.find(({ metadata }) => /^nustream-[^-]+$/.test(metadata.name))?.data ?? {}
    expectTriggers(built, settings)
  })
})

function settingsOfEmitter(): Record<string, string> {
  const emitter = deployments.find(({ name }) => name === 'emitter')
  return emitter ? environmentOf(emitter) : {}
}

interface Values {
  readonly cluster: { readonly nodes: number; readonly replicas: number }
}

const SLOTS = 16_384
/** Events of a batch unless `--batch` says otherwise. */
const BATCH_EVENTS = 256

/** The slot of a key with a hash tag: CRC-16 of the tag (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/). */
function slotOf(key: string): number {
  const tag = /\{(.+?)\}/.exec(key)?.[1] ?? key
  let crc = 0
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff
  }
  return crc % SLOTS
}

/** One trigger for each partition, on its stream of batches and our group, on the address that the parts use. */
function expectTriggers(its: readonly Manifest[], settings: Readonly<Record<string, string>>): void {
  const triggers = triggersOf(its)
  const partitions = Number(settings['NUSTREAM_PARTITIONS'])
  const streams = Array.from(
    { length: partitions },
    (_, partition) => partitionKeys('nustream', partition).batches,
  )
  expect(triggers.map(({ metadata }) => metadata.stream)).toEqual(streams)
  for (const { type, metadata } of triggers) {
    const address = type === 'redis-streams' ? metadata.address : metadata.addresses
    expect(settings['NUSTREAM_BROKER']).toContain(`//${address}`)
    // KEDA asks from a namespace of its own.
    expect(address).toMatch(/^[\w-]+\.nustream\.svc\.cluster\.local:6379$/)
    expect(metadata).toMatchObject({ consumerGroup: 'nustream', enableTLS: 'true' })
    expect(settings['NUSTREAM_BROKER']).toMatch(type === 'redis-streams' ? /^rediss:/ : /^rediss\+cluster:/)
  }
}
