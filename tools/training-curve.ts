/**
 * Draws the log of a training run (`log.csv` of nustream_training.train) as `curve.svg` beside it.
 *
 *   node tools/training-curve.ts training/runs/nano [--line-fit 1.18]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Series } from '../src/plots/chart.ts'
import { renderFigure } from '../src/plots/figure.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Mean error of the built-in line fit on the validation events, radians. */
    'line-fit': { type: 'string' },
  },
})
if (positionals.length !== 1) {
  console.error('error: name the folder of one training run, such as training/runs/nano')
  process.exit(2)
}
const [folder] = positionals
const [head, ...rows] = readFileSync(join(folder, 'log.csv'), 'utf8').trim().split(/\r?\n/)
const names = head.split(',')
/** Columns by name; NaN if a row has no value. */
const columns = new Map(
  names.map((name, i) => [name, rows.map((row) => Number(row.split(',')[i] || Number.NaN))]),
)
const presentations = column('presentations').map((count) => count / 1e6)
const shown = { label: 'events shown', unit: 'millions', min: 0 }
const lineFit: Series[] =
  values['line-fit'] === undefined ? [] : [{ kind: 'rule', y: Number(values['line-fit']), text: 'line fit' }]

writeFileSync(
  join(folder, 'curve.svg'),
  renderFigure({
    title: 'Training',
    subtitle: `${rows.length} log lines, ${presentations.at(-1)?.toFixed(1)} million events shown`,
    columns: 3,
    panelWidth: 400,
    panelHeight: 320,
    panels: [
      {
        title: 'Error on validation events',
        x: shown,
        y: { label: 'angular error', unit: 'rad' },
        series: [...lineFit, curve('mean', 'val_mean_rad'), curve('median', 'val_median_rad')],
      },
      { title: 'Loss', x: shown, y: { label: '-log likelihood' }, series: [curve('loss', 'loss')] },
      {
        title: 'Learning rate',
        x: shown,
        y: { label: 'learning rate', min: 0 },
        series: [curve('learning rate', 'lr')],
      },
    ],
  }),
)

function column(name: string): number[] {
  const found = columns.get(name)
  if (found === undefined)
    throw new Error(`${folder}/log.csv has no column ${name}; it has ${names.join(', ')}`)
  return found
}

function curve(label: string, name: string): Series {
  const points = column(name).map((y, i) => ({ x: presentations[i], y }))
  const known = points.filter(({ y }) => Number.isFinite(y))
  return { kind: 'line', label, x: known.map(({ x }) => x), y: known.map(({ y }) => y) }
}
