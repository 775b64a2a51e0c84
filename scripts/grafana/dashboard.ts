import {
  type Dashboard,
  DashboardCursorSync,
  defaultDashboard,
  type Panel,
  type RowPanel,
  VariableHide,
} from '@grafana/schema'
import { heightOf, type PanelPlan, toPanel } from './panel.ts'

export interface DashboardPlan {
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly rows: readonly { readonly title: string; readonly panels: readonly PanelPlan[] }[]
}

const COLUMNS = 24
/** Of the data source that is provisioned; another one can be picked at the top of each dashboard. */
export const DATASOURCE_UID = 'nustream-prometheus'

/** The dashboard in Grafana's form, its panels laid out from left to right in rows. */
export function toDashboard({ uid, title, description, rows }: DashboardPlan): Dashboard {
  return {
    uid,
    title: `nustream: ${title}`,
    description,
    tags: ['nustream'],
    timezone: 'browser',
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    refresh: '10s',
    time: { from: 'now-30m', to: 'now' },
    timepicker: { refresh_intervals: ['5s', '10s', '30s', '1m', '5m'] },
    fiscalYearStartMonth: 0,
    schemaVersion: defaultDashboard.schemaVersion,
    version: 1,
    annotations: { list: [] },
    links: [
      {
        title: 'nustream',
        type: 'dashboards',
        icon: 'external link',
        tooltip: 'The other dashboards of the stream, at the same time',
        tags: ['nustream'],
        asDropdown: false,
        targetBlank: false,
        includeVars: true,
        keepTime: true,
      },
    ],
    templating: { list: variables() },
    panels: layOut(rows),
  }
}

function variables(): NonNullable<NonNullable<Dashboard['templating']>['list']> {
  return [
    {
      type: 'datasource',
      name: 'datasource',
      label: 'Prometheus',
      description: 'The Prometheus that scrapes the stream',
      query: 'prometheus',
      current: { text: 'Prometheus', value: DATASOURCE_UID },
      hide: VariableHide.dontHide,
    },
    {
      type: 'constant',
      name: 'docs',
      label: 'Documents',
      description: 'Where docs/ of the repository can be read; the links to the operations guide start here',
      query: 'docs',
      hide: VariableHide.hideVariable,
    },
  ]
}

function layOut(rows: DashboardPlan['rows']): (Panel | RowPanel)[] {
  const panels: (Panel | RowPanel)[] = []
  let y = 0
  for (const row of rows) {
    const id = panels.length + 1
    panels.push({
      id,
      type: 'row',
      title: row.title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
    })
    y += 1
    let x = 0
    let rowHeight = 0
    for (const plan of row.panels) {
      if (x + plan.width > COLUMNS) {
        y += rowHeight
        x = 0
        rowHeight = 0
      }
      const h = heightOf(plan)
      panels.push(toPanel(plan, panels.length + 1, { x, y, w: plan.width, h }))
      x += plan.width
      rowHeight = Math.max(rowHeight, h)
    }
    y += rowHeight
  }
  return panels
}
