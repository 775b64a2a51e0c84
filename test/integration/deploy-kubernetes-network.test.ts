import { describe, expect, it } from 'vitest'
import { byName, deployments, manifests, podsOf } from '../support/kubernetes.ts'
import { selects, specs } from '../support/manifests.ts'

describe('network policies', () => {
  const policies = specs(manifests, 'NetworkPolicy')

  it('deny all traffic that is not named, for our pods only', () => {
    const deny = policies.find(
      ({ spec }) => spec.policyTypes.length === 2 && spec.ingress.length === 0 && spec.egress.length === 0,
    )
    expect(podsOf(deny?.spec.podSelector ?? { matchLabels: {}, matchExpressions: [] })).toHaveLength(
      deployments.length,
    )
    for (const { spec } of policies)
      expect(spec.podSelector.matchLabels['app.kubernetes.io/name']).toBe('nustream')
  })

  it('open these doors and no others', () => {
    const all = deployments.map(({ name }) => name)
    const doors = policies.flatMap(({ spec }) => {
      const ours = podsOf(spec.podSelector)
      const who = ours.length === all.length ? 'every part' : ours.join(', ')
      return [
        ...spec.egress.flatMap((rule) =>
          rule.to.flatMap((to) => rule.ports.map((its) => [who, 'to', peer(to), its.port])),
        ),
        ...spec.ingress.flatMap((rule) =>
          rule.from.flatMap((from) => rule.ports.map((its) => [who, 'from', peer(from), its.port])),
        ),
      ]
    })
    expect(doors).toEqual([
      ['every part', 'to', 'kube-dns in kube-system', 53],
      ['every part', 'to', 'kube-dns in kube-system', 53],
      ['every part', 'to', 'redis or redis-cluster', 6379],
      ['every part', 'from', 'all in monitoring', 'http'],
      ['server', 'from', 'nustream consumer', 'http'],
      ['consumer', 'to', 'nustream server', 8500],
      ['server, consumer', 'to', 'mlflow anywhere', 5000],
      ['emitter, server, consumer', 'to', 'opentelemetry-collector anywhere', 4318],
      ['display', 'from', 'all in ingress-nginx', 'http'],
    ])
  })

  it('let only the consumer reach the model server, in both directions of the rule', () => {
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

  /** A peer of a policy in words: which pods, in which namespace. */
  function peer({
    podSelector,
    namespaceSelector,
  }: (typeof policies)[number]['spec']['egress'][number]['to'][number]) {
    const pods = podSelector && [
      ...Object.values(podSelector.matchLabels),
      ...podSelector.matchExpressions.map(({ values }) => values.join(' or ')),
    ]
    const [namespace] = Object.values(namespaceSelector?.matchLabels ?? {})
    const where =
      namespaceSelector === undefined ? '' : namespace === undefined ? ' anywhere' : ` in ${namespace}`
    return `${pods?.join(' ') ?? 'all'}${where}`
  }

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
