import { execFileSync, spawnSync } from 'node:child_process'
import { scaledObjectSchema } from './crds.ts'
import { type Manifest, readBase, type Selector, selects, specs } from './manifests.ts'

export const BASE = 'deploy/kubernetes/base'
export const OVERLAY = 'deploy/kubernetes/overlays/cluster'

/** The program that builds a kustomization, if it is installed. */
export const kustomize = [
  ['kustomize', 'build'],
  ['kubectl', 'kustomize'],
].find(([program]) => spawnSync(program, ['version', '--client']).error === undefined)

/** Reason for skipping a test that needs it. */
export const NO_KUSTOMIZE = 'neither kustomize nor kubectl is on this machine'

/** The objects of the base, and its deployments. */
export const manifests = readBase(BASE)
export const deployments = specs(manifests, 'Deployment').map(({ name, spec }) => ({
  name,
  spec,
  pod: spec.template.spec,
  labels: spec.template.metadata.labels,
  container: spec.template.spec.containers[0],
}))

export function byName(name: string) {
  return deployments.find((deployment) => deployment.name === name)
}

/** The deployments whose pods a selector matches. */
export function podsOf(selector: Selector): string[] {
  return deployments.filter(({ labels }) => selects(selector, labels)).map(({ name }) => name)
}

/** A pod's environment, as far as the manifests set it. */
export function environmentOf({ container }: (typeof deployments)[number]): Record<string, string> {
  const maps = container.envFrom.flatMap(({ configMapRef }) => (configMapRef ? [configMapRef.name] : []))
  const data = maps.map(
    (name) => manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name)?.data,
  )
  const own = container.env.map(({ name, value }) => [name, value ?? '2'])
  return Object.assign({}, ...data, Object.fromEntries(own))
}

export function scaledObjects(its: readonly Manifest[]) {
  return its
    .filter(({ kind }) => kind === 'ScaledObject')
    .map((manifest) => scaledObjectSchema.parse(manifest))
}

/** The triggers of all scaled objects, whole or as patches. */
export function triggersOf(its: readonly Manifest[]) {
  const patch = scaledObjectSchema.extend({ spec: scaledObjectSchema.shape.spec.partial() })
  return its
    .filter(({ kind }) => kind === 'ScaledObject')
    .flatMap((manifest) => patch.parse(manifest).spec.triggers ?? [])
}

/** A kustomization as `kustomize` builds it, as YAML. */
export function build(folder: string): string {
  const [program, ...words] = kustomize ?? []
  return execFileSync(program, [...words, folder], { encoding: 'utf8' })
}
