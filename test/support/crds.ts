import { z } from 'zod'

// The fields that the published definitions allow in a specification, to detect misspelt ones:
// keda.sh_scaledobjects.yaml and keda.sh_triggerauthentications.yaml of kedacore/keda, and
// monitoring.coreos.com_podmonitors.yaml of prometheus-operator; those of ours that are used, and their neighbours.

const named = { metadata: z.looseObject({ name: z.string() }) }
const whole = z.int().nonnegative()
const digits = z.string().regex(/^\d+$/)

/** Metadata of KEDA's scalers redis-streams and redis-cluster-streams: texts, as in every trigger. */
const streamMetadata = {
  stream: z.string(),
  consumerGroup: z.string(),
  lagCount: digits,
  activationLagCount: digits,
  enableTLS: z.enum(['true', 'false']).optional(),
  unsafeSsl: z.enum(['true', 'false']).optional(),
  databaseIndex: digits.optional(),
}
const triggerSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('redis-streams'),
    metadata: z.strictObject({ address: z.string().regex(/^[\w.-]+:\d+$/), ...streamMetadata }),
    authenticationRef: z.strictObject({ name: z.string(), kind: z.string().optional() }),
  }),
  z.strictObject({
    type: z.literal('redis-cluster-streams'),
    metadata: z.strictObject({ addresses: z.string(), ...streamMetadata }),
    authenticationRef: z.strictObject({ name: z.string(), kind: z.string().optional() }),
  }),
])

const scalingRules = z.strictObject({
  stabilizationWindowSeconds: whole.max(3600),
  policies: z.array(
    z.strictObject({
      type: z.enum(['Pods', 'Percent']),
      value: whole.min(1),
      periodSeconds: whole.max(1800),
    }),
  ),
})

export const scaledObjectSchema = z.strictObject({
  apiVersion: z.literal('keda.sh/v1alpha1'),
  kind: z.literal('ScaledObject'),
  ...named,
  spec: z.strictObject({
    scaleTargetRef: z.strictObject({
      name: z.string(),
      kind: z.string().optional(),
      apiVersion: z.string().optional(),
    }),
    pollingInterval: whole,
    cooldownPeriod: whole,
    minReplicaCount: whole,
    maxReplicaCount: whole,
    fallback: z.strictObject({
      failureThreshold: whole,
      replicas: whole,
      behavior: z
        .enum(['static', 'currentReplicas', 'currentReplicasIfHigher', 'currentReplicasIfLower'])
        .optional(),
    }),
    advanced: z.strictObject({
      horizontalPodAutoscalerConfig: z.strictObject({
        behavior: z.strictObject({ scaleUp: scalingRules, scaleDown: scalingRules }),
      }),
    }),
    triggers: z.array(triggerSchema).min(1),
  }),
})

const reference = z.strictObject({ parameter: z.string(), name: z.string(), key: z.string() })
/** The parameters of the scalers' authentication. */
const parameters = new Set(['username', 'password', 'tls', 'ca', 'cert', 'key', 'keyPassword'])

export const triggerAuthenticationSchema = z.strictObject({
  apiVersion: z.literal('keda.sh/v1alpha1'),
  kind: z.literal('TriggerAuthentication'),
  ...named,
  spec: z.strictObject({
    secretTargetRef: z.array(reference.refine(({ parameter }) => parameters.has(parameter))),
    configMapTargetRef: z.array(reference.refine(({ parameter }) => parameters.has(parameter))),
  }),
})

export const podMonitorSchema = z.strictObject({
  apiVersion: z.literal('monitoring.coreos.com/v1'),
  kind: z.literal('PodMonitor'),
  ...named,
  spec: z.strictObject({
    selector: z.strictObject({ matchLabels: z.record(z.string(), z.string()) }),
    podMetricsEndpoints: z.array(
      z.strictObject({
        port: z.string(),
        path: z.string().startsWith('/'),
        interval: z.string().regex(/^\d+(ms|s|m)$/),
        scrapeTimeout: z.string().regex(/^\d+(ms|s|m)$/),
        relabelings: z.array(
          z.strictObject({
            sourceLabels: z.array(z.string()).optional(),
            targetLabel: z.string(),
            replacement: z.string().optional(),
            regex: z.string().optional(),
            action: z.string().optional(),
          }),
        ),
      }),
    ),
  }),
})
