/**
 * Draws the dashboards of deploy/grafana from a running Prometheus, for who has no Grafana at hand:
 * `node scripts/grafana/render.ts http://127.0.0.1:9090 FOLDER`. The drawing is ours; queries, units, thresholds and
 * places are those that Grafana is given.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Dashboard, Panel } from '@grafana/schema'
import { startChromium } from '../../test/support/chromium.ts'
import { toDashboard } from './dashboard.ts'
import { drawPanel, type Series } from './draw.ts'
import { DASHBOARDS } from './write.ts'

const COLUMN_PX = 56
const ROW_PX = 32
const MINUTES = 15
const STEP_S = 5

const [url, folder = 'dashboards'] = process.argv.slice(2)
if (url === undefined) throw new Error('usage: node scripts/grafana/render.ts PROMETHEUS-URL [FOLDER]')
mkdirSync(folder, { recursive: true })
const cleanups: (() => Promise<void>)[] = []
const chromium = await startChromium({ onTestFinished: (cleanup) => cleanups.push(cleanup) })
try {
  for (const plan of DASHBOARDS) {
    const html = await renderDashboard(toDashboard(plan))
    const { page } = await chromium.open({ viewport: { width: 24 * COLUMN_PX + 32, height: 800 } })
    await page.setContent(html)
    const path = join(folder, `${plan.uid}.png`)
    await page.screenshot({ path, fullPage: true })
    console.log(path)
  }
} finally {
  for (const cleanup of cleanups) await cleanup()
}

async function renderDashboard({ title, panels = [] }: Dashboard): Promise<string> {
  const boxes = await Promise.all(
    panels.map(async (panel) => {
      const { x, y, w, h } = panel.gridPos ?? { x: 0, y: 0, w: 24, h: 1 }
      const place = `left:${x * COLUMN_PX}px;top:${y * ROW_PX}px;width:${w * COLUMN_PX - 8}px;height:${h * ROW_PX - 8}px`
      if (!('targets' in panel)) return `<h2 style="${place}">${panel.title}</h2>`
      const size = { width: w * COLUMN_PX - 24, height: h * ROW_PX - 44 }
      const body = drawPanel(panel, await ask(panel), size)
      return `<section style="${place}"><h3>${panel.title}</h3>${body}</section>`
    }),
  )
  const bottom = Math.max(...panels.map(({ gridPos }) => (gridPos ? gridPos.y + gridPos.h : 0)))
  return `<!doctype html><meta charset="utf-8"><style>
    body { font: 12px sans-serif; background: #111217; color: #ccccdc; margin: 16px; }
    main { position: relative; height: ${bottom * ROW_PX}px; }
    main > * { position: absolute; box-sizing: border-box; margin: 0; overflow: hidden; }
    section { background: #181b1f; border: 1px solid #2c3235; padding: 6px 8px; }
    h2 { font-size: 14px; } h3 { margin: 0 0 4px; font-size: 12px; font-weight: 600; }
    td, th { text-align: left; padding: 2px 8px; }
    .big { font-size: 32px; font-weight: 600; }
  </style><h1>${title}</h1><main>${boxes.join('\n')}</main>`
}

async function ask(panel: Panel): Promise<Series[]> {
  const end = Math.floor(Date.now() / 1_000)
  const answers = await Promise.all(
    (panel.targets ?? []).map(async (target) => {
      // As panel.ts writes them.
      const { expr, legendFormat } = target as { expr: string; legendFormat: string }
      const query = new URLSearchParams({
        query: expr.replaceAll('$__rate_interval', '1m'),
        start: String(end - MINUTES * 60),
        end: String(end),
        step: String(STEP_S),
      })
      const response = await fetch(`${url}/api/v1/query_range?${query}`)
      // The form that Prometheus documents.
      const { data } = (await response.json()) as {
        data: { result: { metric: Record<string, string>; values: [number, string][] }[] }
      }
      return data.result.map(({ metric, values }) => ({
        name: legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ''),
        labels: metric,
        points: values.map(([at, value]) => ({ at, value: Number(value) })),
      }))
    }),
  )
  return answers.flat()
}
