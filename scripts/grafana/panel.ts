import {
  BigValueColorMode,
  BigValueGraphMode,
  FieldColorModeId,
  GraphDrawStyle,
  GraphThresholdsStyleMode,
  type GridPos,
  LegendDisplayMode,
  type Panel,
  SortOrder,
  StackingMode,
  ThresholdsMode,
  TooltipDisplayMode,
} from '@grafana/schema'

/** What a panel shows, in the words of this project; `toPanel` says it in Grafana's. */
export interface PanelPlan {
  readonly title: string
  /** The question that the panel answers, and what to do about a bad answer. */
  readonly description: string
  readonly kind: 'timeseries' | 'stat' | 'table' | 'heatmap'
  /** An id of Grafana's units, such as `s`, `short` or `percentunit`. */
  readonly unit: string
  readonly queries: readonly Query[]
  /** From which value on it is orange or red; green below. Missing: no value is bad by itself. */
  readonly limits?: Limits
  /** Of 24 columns. */
  readonly width: number
  readonly height?: number
  readonly decimals?: number
  readonly min?: number
  readonly max?: number
  readonly stacked?: boolean
  /** Section of docs/operations.md. */
  readonly runbook?: string
}

export interface Limits {
  readonly orange?: number
  readonly red?: number
  /** Small is bad: red below `red`, orange below `orange`. */
  readonly isFloor?: boolean
}

export interface Query {
  readonly expr: string
  /** Name of a series; `{{label}}` is replaced. */
  readonly legend: string
}

/** The data source variable of every dashboard. */
export const DATASOURCE = { type: 'prometheus', uid: `\${datasource}` } as const

export function heightOf({ kind, height }: PanelPlan): number {
  return height ?? (kind === 'stat' ? 4 : 8)
}

export function toPanel(plan: PanelPlan, id: number, gridPos: GridPos): Panel {
  const { title, description, kind, queries } = plan
  const base: Panel = {
    id,
    type: kind,
    title,
    description,
    gridPos,
    datasource: DATASOURCE,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      editorMode: 'code',
      expr,
      legendFormat: legend,
      ...(kind === 'table' && { format: 'table', instant: true, range: false }),
      ...(kind === 'stat' && { range: true }),
      ...(kind === 'heatmap' && { format: 'heatmap', range: true }),
      ...(kind === 'timeseries' && { range: true }),
    })),
    fieldConfig: { defaults: fieldDefaults(plan), overrides: [] },
    options: optionsOf(kind),
  }
  if (plan.runbook)
    base.links = [
      {
        title: `What to do (docs/operations.md#${plan.runbook})`,
        type: 'link',
        url: `\${docs}/operations.md#${plan.runbook}`,
        icon: 'external link',
        tooltip: 'The section of the operations guide',
        tags: [],
        asDropdown: false,
        targetBlank: true,
        includeVars: false,
        keepTime: false,
      },
    ]
  if (kind === 'table')
    base.transformations = [
      // One table of all queries, instead of one to choose.
      { id: 'merge', options: {} },
      { id: 'organize', options: { excludeByName: { Time: true, Value: true, __name__: true, job: true } } },
    ]
  return base
}

function fieldDefaults(plan: PanelPlan): NonNullable<Panel['fieldConfig']>['defaults'] {
  const { unit, kind, limits, decimals, min, max } = plan
  const byValue = limits !== undefined && kind === 'stat'
  return {
    unit,
    ...(decimals !== undefined && { decimals }),
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    noValue: 'nothing yet',
    color: { mode: byValue ? FieldColorModeId.Thresholds : FieldColorModeId.PaletteClassicByName },
    thresholds: { mode: ThresholdsMode.Absolute, steps: stepsOf(limits) },
    ...(kind === 'timeseries' && { custom: lineStyle(plan) }),
  }
}

/** The first step begins at minus infinity, which Grafana writes as null. */
function stepsOf(limits: Limits | undefined) {
  if (limits === undefined) return [{ color: 'green', value: null }]
  const { orange, red, isFloor = false } = limits
  const steps = [
    ...(orange === undefined ? [] : [{ color: 'orange', value: orange }]),
    ...(red === undefined ? [] : [{ color: 'red', value: red }]),
  ].toSorted((a, b) => a.value - b.value)
  if (!isFloor) return [{ color: 'green', value: null }, ...steps]
  // Each value is where its colour ends: what lies above begins there.
  const colors = [...steps.map(({ color }) => color), 'green']
  return colors.map((color, index) => ({ color, value: index === 0 ? null : steps[index - 1].value }))
}

function lineStyle({ limits, stacked = false }: PanelPlan) {
  return {
    drawStyle: GraphDrawStyle.Line,
    lineWidth: 2,
    fillOpacity: stacked ? 30 : 8,
    spanNulls: false,
    stacking: { mode: stacked ? StackingMode.Normal : StackingMode.None, group: 'A' },
    thresholdsStyle: {
      mode: limits === undefined ? GraphThresholdsStyleMode.Off : GraphThresholdsStyleMode.Dashed,
    },
  }
}

function optionsOf(kind: PanelPlan['kind']): Record<string, unknown> {
  switch (kind) {
    case 'timeseries':
      return {
        legend: {
          displayMode: LegendDisplayMode.Table,
          placement: 'bottom',
          calcs: ['lastNotNull', 'max'],
          showLegend: true,
        },
        tooltip: { mode: TooltipDisplayMode.Multi, sort: SortOrder.Descending },
      }
    case 'stat':
      return {
        colorMode: BigValueColorMode.Value,
        graphMode: BigValueGraphMode.Area,
        reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
        textMode: 'auto',
      }
    case 'table':
      return { showHeader: true, cellHeight: 'sm' }
    case 'heatmap':
      return {
        calculate: false,
        color: { mode: 'scheme', scheme: 'Viridis', steps: 64 },
        cellGap: 1,
        yAxis: { axisPlacement: 'left', unit: 's' },
        tooltip: { mode: TooltipDisplayMode.Single, yHistogram: false },
        legend: { show: true },
      }
  }
}
