import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { BACKLOG_MAX_EVENTS, BATCH_EVENTS } from '../src/emitter/emit.ts'

interface ScaledObject {
  readonly kind: string
  readonly spec: {
    readonly maxReplicaCount: number
    readonly triggers: { readonly metadata: { readonly lagCount: string } }[]
  }
}

const BASE = 'deploy/kubernetes/base/scaling.yaml'
const CLUSTER = 'deploy/kubernetes/overlays/cluster'
/** A paused emitter continues when so much of its limit is left. */
const RESUME_SHARE = 0.8
/** Batches that a consumer of two cores holds, which KEDA does not count. */
const LEASED_BATCHES = 4

function scaledObject(path: string): ScaledObject['spec'] {
  const all = parseAllDocuments(readFileSync(path, 'utf8')).map((each) => each.toJS() as ScaledObject)
  const found = all.find(({ kind }) => kind === 'ScaledObject')
  if (!found) throw new Error(`${path} has no ScaledObject`)
  return found.spec
}

function clusterBacklogMax(): number {
  const { configMapGenerator } = parse(readFileSync(`${CLUSTER}/kustomization.yaml`, 'utf8')) as {
    configMapGenerator: { name: string; literals: string[] }[]
  }
  const literals = configMapGenerator.flatMap((each) => each.literals)
  return Number(literals.find((each) => each.startsWith('NUSTREAM_BACKLOG_MAX='))?.split('=')[1])
}

it.each([
  { name: 'one Redis', path: BASE, backlogMax: () => BACKLOG_MAX_EVENTS },
  { name: 'a cluster', path: `${CLUSTER}/scaling.yaml`, backlogMax: clusterBacklogMax },
])('as many batches may wait on $name as KEDA needs to ask for its greatest number of consumers', (given) => {
  const { maxReplicaCount, triggers } = scaledObject(given.path)
  const waiting = (given.backlogMax() * RESUME_SHARE) / BATCH_EVENTS
  const unread = (waiting - maxReplicaCount * LEASED_BATCHES) / triggers.length
  expect(Math.ceil(unread / Number(triggers[0].metadata.lagCount))).toBeGreaterThanOrEqual(maxReplicaCount)
})
