import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { DATASOURCE_UID } from './dashboard.ts'

const RULES = new URL('../../deploy/prometheus/rules/nustream.alerts.yml', import.meta.url)

/** Alerts of Prometheus that Grafana evaluates as well, for those who are told by Grafana. */
const WANTED = {
  NustreamHeartbeatMissing: 'nustream-heartbeat',
  NustreamRoleSilent: 'nustream-role-silent',
  NustreamBrokerDown: 'nustream-broker-down',
  NustreamLatencyHigh: 'nustream-latency-high',
  NustreamLagGrowing: 'nustream-lag-growing',
  NustreamErrorRateHigh: 'nustream-error-rate',
  NustreamDrift: 'nustream-drift',
  NustreamModelRefused: 'nustream-model-refused',
} as const

interface PrometheusAlert {
  readonly alert?: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/**
 * Alert rules in the form of Grafana's file provisioning. Expressions, times and texts are those of Prometheus, so that
 * there is one truth. Such an expression gives a series only where it is true, whatever its value: hence `is_number`,
 * and no data means that all is well.
 */
export function alertRules(): object {
  // promtool holds the form of the file.
  const file = parse(readFileSync(RULES, 'utf8')) as { groups: { rules: PrometheusAlert[] }[] }
  const alerts = file.groups.flatMap(({ rules }) => rules)
  return {
    apiVersion: 1,
    groups: [
      {
        orgId: 1,
        name: 'nustream',
        folder: 'nustream',
        interval: '10s',
        rules: Object.entries(WANTED).map(([name, uid]) => toRule(uid, find(alerts, name))),
      },
    ],
  }
}

function find(alerts: readonly PrometheusAlert[], name: string): PrometheusAlert {
  const found = alerts.find(({ alert }) => alert === name)
  if (found === undefined) throw new Error(`nustream.alerts.yml has no alert ${name}`)
  return found
}

function toRule(uid: string, alert: PrometheusAlert): object {
  const range = { from: 600, to: 0 }
  return {
    uid,
    title: alert.alert,
    condition: 'B',
    data: [
      {
        refId: 'A',
        relativeTimeRange: range,
        datasourceUid: DATASOURCE_UID,
        model: { refId: 'A', expr: alert.expr.trim(), instant: true, range: false, editorMode: 'code' },
      },
      {
        refId: 'B',
        relativeTimeRange: range,
        datasourceUid: '__expr__',
        model: {
          refId: 'B',
          type: 'math',
          expression: 'is_number($A)',
          datasource: { type: '__expr__', uid: '__expr__' },
        },
      },
    ],
    noDataState: 'OK',
    execErrState: 'Error',
    // Grafana looks every 10 s.
    for: alert.for ?? '0s',
    labels: alert.labels,
    annotations: toGrafanaText(alert.annotations),
    isPaused: false,
  }
}

/** Prometheus's `$value` is the number; Grafana's is a text, and the number is in `$values`. */
function toGrafanaText(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(annotations).map(([key, text]) => {
    return [key, text.replaceAll('$value', '$values.A.Value')] as const
  })
  return Object.fromEntries(entries)
}
