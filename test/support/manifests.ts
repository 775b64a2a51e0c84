import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'

const labels = z.record(z.string(), z.string())

const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), labels: labels.optional() }),
  data: z.record(z.string(), z.string()).optional(),
})
/** The common fields of Kubernetes objects. */
export type Manifest = z.infer<typeof manifestSchema>

const generatorSchema = z.array(
  z.strictObject({
    name: z.string(),
    behavior: z.enum(['create', 'merge']).default('create'),
    literals: z.array(z.string()),
  }),
)

/** The fields that our kustomizations use. */
const kustomizationSchema = z.strictObject({
  apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
  kind: z.literal('Kustomization'),
  namespace: z.string().optional(),
  resources: z.array(z.string()),
  labels: z.array(z.strictObject({ pairs: labels, includeTemplates: z.boolean() })).default([]),
  configMapGenerator: generatorSchema.default([]),
  images: z
    .array(z.strictObject({ name: z.string(), newName: z.string().optional(), newTag: z.string() }))
    .default([]),
  patches: z
    .array(
      z.strictObject({
        path: z.string().optional(),
        patch: z.string().optional(),
        target: z.strictObject({ kind: z.string(), name: z.string() }).optional(),
      }),
    )
    .default([]),
})
export type Kustomization = z.infer<typeof kustomizationSchema>

export function readKustomization(folder: string): Kustomization {
  return kustomizationSchema.parse(parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')))
}

export function readManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]
    return manifestSchema.parse(document.toJS())
  })
}

/**
 * The objects of a kustomization without its patches, images and hashed names, which is enough for a base.
 * @throws Error if it names a missing file or folder
 */
export function readBase(folder: string): Manifest[] {
  const { resources, configMapGenerator } = readKustomization(folder)
  const own = resources.flatMap((resource) => {
    const path = join(folder, resource)
    if (!existsSync(path))
      throw new Error(`${folder}/kustomization.yaml names ${resource}, which is not there`)
    return statSync(path).isDirectory() ? readBase(path) : readManifests(readFileSync(path, 'utf8'))
  })
  const generated = configMapGenerator.map(({ name, literals }) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
    data: toData(literals),
  }))
  return [...own, ...generated]
}

export function toData(literals: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    literals.map((text) => [text.split('=', 1)[0], text.slice(text.indexOf('=') + 1)]),
  )
}

const selectorSchema = z.strictObject({
  matchLabels: labels.default({}),
  matchExpressions: z
    .array(
      z.strictObject({
        key: z.string(),
        operator: z.enum(['In', 'Exists']),
        values: z.array(z.string()).default([]),
      }),
    )
    .default([]),
})
export type Selector = z.infer<typeof selectorSchema>

/** Whether a label selector matches these labels. */
export function selects(selector: Selector, its: Readonly<Record<string, string>>): boolean {
  return (
    Object.entries(selector.matchLabels).every(([key, value]) => its[key] === value) &&
    selector.matchExpressions.every(({ key, operator, values }) =>
      operator === 'In' ? values.includes(its[key]) : key in its,
    )
  )
}

const named = z.looseObject({ name: z.string() })
const probe = z.looseObject({ httpGet: z.strictObject({ path: z.string(), port: z.string() }) })
const port = z.union([z.string(), z.number()])
const peers = z.array(
  z.strictObject({ podSelector: selectorSchema.optional(), namespaceSelector: selectorSchema.optional() }),
)
const ports = z.array(z.strictObject({ protocol: z.string(), port }))

const containerSchema = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()),
  env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })).default([]),
  envFrom: z.array(z.strictObject({ configMapRef: named.optional(), secretRef: named.optional() })),
  ports: z.array(z.strictObject({ name: z.string(), containerPort: z.number() })),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  resources: z.strictObject({ requests: labels, limits: labels }),
  securityContext: z.unknown(),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
})
export type Container = z.infer<typeof containerSchema>

/** The fields of each kind that the tests check; the published schemas cover the others. */
export const kinds = {
  Deployment: z.looseObject({
    replicas: z.number().optional(),
    strategy: z.looseObject({ type: z.string().optional() }).optional(),
    selector: selectorSchema,
    template: z.looseObject({
      metadata: z.looseObject({ labels }),
      spec: z.looseObject({
        terminationGracePeriodSeconds: z.number(),
        automountServiceAccountToken: z.boolean(),
        securityContext: z.unknown(),
        containers: z.array(containerSchema).length(1),
        volumes: z.array(
          z.looseObject({
            name: z.string(),
            configMap: named.optional(),
            persistentVolumeClaim: z.looseObject({ claimName: z.string() }).optional(),
          }),
        ),
      }),
    }),
  }),
  Service: z.looseObject({
    selector: labels,
    ports: z.array(z.strictObject({ name: z.string(), port: z.number(), targetPort: z.string() })),
  }),
  PodDisruptionBudget: z.looseObject({ selector: selectorSchema }),
  HorizontalPodAutoscaler: z.looseObject({
    scaleTargetRef: z.strictObject({ apiVersion: z.string(), kind: z.string(), name: z.string() }),
  }),
  NetworkPolicy: z.strictObject({
    podSelector: selectorSchema,
    policyTypes: z.array(z.enum(['Ingress', 'Egress'])),
    ingress: z.array(z.strictObject({ from: peers, ports })).default([]),
    egress: z.array(z.strictObject({ to: peers, ports })).default([]),
  }),
} as const

/** The specifications of every object of one kind, by name. @throws ZodError */
export function specs<Kind extends keyof typeof kinds>(
  manifests: readonly Manifest[],
  kind: Kind,
): { readonly name: string; readonly spec: z.infer<(typeof kinds)[Kind]> }[] {
  const its = manifests.filter((manifest) => manifest.kind === kind)
  return its.map(({ metadata, ...rest }) => ({
    name: metadata.name,
    // The table has one schema per kind; the compiler cannot infer it from the key.
    spec: kinds[kind].parse(rest['spec']) as z.infer<(typeof kinds)[Kind]>,
  }))
}
