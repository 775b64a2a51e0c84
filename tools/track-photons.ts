import { writeFile } from 'node:fs/promises'
import { gammaShareBelow } from '../src/simulator/gamma-function.ts'
import { CHERENKOV_COS } from '../src/simulator/optics.ts'
import { Random } from '../src/simulator/random.ts'

/**
 * Generates src/simulator/shower-light-table.ts: node tools/track-photons.ts [PHOTONS]
 *
 * Tracks photons of a point-like shower through uniform ice and records them when they cross spheres around it, by the
 * angle between the shower's direction and the direction to the crossing point. All lengths are in effective
 * scattering lengths, delays in the time that light takes for one.
 */
const PHOTONS = Number(process.argv[2] ?? 2_000_000)
/** Henyey-Greenstein and simplified-Liu scattering mixed. Source: ice-models (icetray), arXiv:1301.5361. */
const MEAN_COSINE = 0.9
const LIU_SHARE = 0.45
const LIU_POWER = (1 - MEAN_COSINE) / (1 + MEAN_COSINE)
/** Scattering length over absorption length: 0.25 to 0.4 in the South Pole's ice. */
const ABSORPTION = 0.3

const DISTANCES = [0.06, 0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 6, 8]
const ANGLES = 16
const FARTHEST = DISTANCES.at(-1) ?? 0
/** Beyond this distance a photon is dropped: its return is too improbable, or its absorption almost certain. */
const LOST_AT = FARTHEST + 4
const ABSORBED_AT = 12
/** Grazing photons cross more of a sphere's surface; this bounds their weight. */
const GRAZING = 0.05

const EDGES = [0, ...Array.from({ length: 60 }, (_, i) => 0.01 * 10 ** (i / 17))]

/** Light at one distance and angle. */
class Cell {
  weight = 0
  delay = 0
  square = 0
  readonly histogram = new Float64Array(EDGES.length)

  merge(other: Cell): void {
    this.weight += other.weight
    this.delay += other.delay
    this.square += other.square
    for (const [i, weight] of other.histogram.entries()) this.histogram[i] += weight
  }

  add(weight: number, delay: number): void {
    this.weight += weight
    this.delay += weight * delay
    this.square += weight * delay * delay
    let bin = delay < EDGES[1] ? 0 : Math.floor(17 * Math.log10(delay / 0.01)) + 1
    if (bin >= EDGES.length) bin = EDGES.length - 1
    this.histogram[bin] += weight
  }
}

/** Distribution of the delay: a gamma distribution that begins at `onset`. */
interface Law {
  readonly shape: number
  readonly rate: number
  readonly onset: number
}

const random = new Random()
random.restart(1, 0)
const cells = DISTANCES.map(() => Array.from({ length: ANGLES }, () => new Cell()))
const emission = tabulateEmission()

for (let i = 0; i < PHOTONS; i++) followPhoton()
await writeFile(
  process.argv[3] ?? new URL('../src/simulator/shower-light-table.ts', import.meta.url),
  render(),
)

function tabulateEmission(): Float64Array {
  const bins = 4096
  const below = new Float64Array(bins + 1)
  for (let i = 0; i < bins; i++) {
    const cosine = ((i + 0.5) * 2) / bins - 1
    below[i + 1] = below[i] + Math.exp(-2.61 * Math.abs(cosine - CHERENKOV_COS) ** 0.39)
  }
  return below.map((sum) => sum / below[bins])
}

/** Cosine of the angle between a photon and its shower. Source: ppc (icetray). */
function drawEmission(): number {
  const u = random.uniform()
  let low = 0
  let high = emission.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (emission[middle] <= u) low = middle
    else high = middle
  }
  return ((low + random.uniform()) * 2) / (emission.length - 1) - 1
}

function followPhoton(): void {
  const place = [0, 0, 0]
  const direction = turn([0, 0, 1], drawEmission())
  let path = 0
  for (;;) {
    const step = -(1 - MEAN_COSINE) * Math.log(random.uniform())
    recordCrossings(place, direction, path, step)
    path += step
    for (let axis = 0; axis < 3; axis++) place[axis] += step * direction[axis]
    if (ABSORPTION * path > ABSORBED_AT || Math.hypot(...place) > LOST_AT) return
    const turned = turn(direction, drawScattering())
    for (let axis = 0; axis < 3; axis++) direction[axis] = turned[axis]
  }
}

function drawScattering(): number {
  if (random.uniform() < LIU_SHARE) return 2 * random.uniform() ** LIU_POWER - 1
  const g = MEAN_COSINE
  const f = (1 - g * g) / (1 + g * (2 * random.uniform() - 1))
  return (1 + g * g - f * f) / (2 * g)
}

/** A direction at an angle of the given cosine to `axis`, anywhere around it. */
function turn(axis: readonly number[], cosine: number): number[] {
  const sine = Math.sqrt(Math.max(0, 1 - cosine * cosine))
  const angle = 2 * Math.PI * random.uniform()
  const [u, v] = [sine * Math.cos(angle), sine * Math.sin(angle)]
  const [x, y, z] = axis
  const across = Math.hypot(x, y)
  if (across < 1e-6) return [u, v, Math.sign(z) * cosine]
  const turned = [
    x * cosine + (x * z * u - y * v) / across,
    y * cosine + (y * z * u + x * v) / across,
    z * cosine - across * u,
  ]
  const length = Math.hypot(...turned)
  return turned.map((part) => part / length)
}

function recordCrossings(
  place: readonly number[],
  direction: readonly number[],
  path: number,
  step: number,
): void {
  const along = place[0] * direction[0] + place[1] * direction[1] + place[2] * direction[2]
  const square = place[0] ** 2 + place[1] ** 2 + place[2] ** 2
  const impact = Math.max(0, square - along * along)
  for (const [i, distance] of DISTANCES.entries()) {
    if (distance * distance < impact) continue
    const half = Math.sqrt(distance * distance - impact)
    for (const at of [-along - half, -along + half]) {
      if (at <= 0 || at > step) continue
      const way = path + at
      const weight = Math.exp(-ABSORPTION * way) / Math.max(GRAZING, half / distance)
      const cosine = (place[2] + at * direction[2]) / distance
      const bin = Math.min(ANGLES - 1, Math.floor(((cosine + 1) * ANGLES) / 2))
      cells[i][bin].add(weight, Math.max(0, way - distance))
    }
  }
}

/** The distributions of a distance's cells and of all directions; light from within one scattering length has no onset. */
function fitLaws(row: readonly Cell[], distance: number): { laws: Law[]; onset: number } {
  const all = new Cell()
  for (const cell of row) all.merge(cell)
  const onset = distance < 1 ? 0 : fitLaw(all).onset
  return { laws: row.map((cell) => fitLaw(cell, onset)), onset }
}

/**
 * The distribution whose cumulative function fits the recorded one best: least squares at the histogram's edges. With
 * `onset` given, only shape and rate are free.
 */
function fitLaw(cell: Cell, onset?: number): Law {
  const mean = cell.delay / cell.weight
  const variance = cell.square / cell.weight - mean * mean
  let best = [Math.log((mean * mean) / variance), Math.log(mean / variance), onset ?? 0]
  let least = misfit(cell, best)
  for (let size = 0.4; size > 0.002; size *= 0.7) {
    for (let again = true; again; ) {
      again = false
      for (const move of moves(size, mean)) {
        const next = best.map((value, i) => value + move[i])
        if (next[2] < 0 || (onset !== undefined && next[2] !== onset)) continue
        const value = misfit(cell, next)
        if (value >= least) continue
        least = value
        best = next
        again = true
      }
    }
  }
  return { shape: Math.exp(best[0]), rate: Math.exp(best[1]), onset: best[2] }
}

function moves(size: number, mean: number): number[][] {
  const shift = size * 0.1 * mean
  return [1, -1].flatMap((sign) => [
    [sign * size, 0, 0],
    [0, sign * size, 0],
    [sign * size, sign * size, 0],
    [0, 0, sign * shift],
    [-sign * size, -0.5 * sign * size, sign * shift],
  ])
}

function misfit(cell: Cell, [logShape, logRate, onset]: readonly number[]): number {
  let below = 0
  let sum = 0
  for (let i = 1; i < EDGES.length; i++) {
    below += cell.histogram[i - 1] / cell.weight
    // The first edge lies within a sensor's resolution of some nanoseconds.
    if (EDGES[i] < 0.05) continue
    sum += (below - gammaShareBelow(Math.exp(logShape), Math.exp(logRate) * (EDGES[i] - onset))) ** 2
  }
  return sum
}

function render(): string {
  const fits = cells.map((row, i) => fitLaws(row, DISTANCES[i]))
  const brightness = cells.map((row) => {
    const mean = row.reduce((sum, { weight }) => sum + weight, 0) / ANGLES
    return row.map(({ weight }) => weight / mean)
  })
  const list = (name: string, doc: string, values: number[][]) =>
    `/** Thousandths: ${doc} */\nexport const ${name}: readonly (readonly number[])[] = [\n${values
      .map((row) => `  [${row.map((value) => Math.round(value * 1000)).join(', ')}],`)
      .join('\n')}\n]\n`
  return [
    `// Made by tools/track-photons.ts with ${PHOTONS} photons; do not edit.\n`,
    `/** Distances from the shower, effective scattering lengths. */\nexport const DISTANCES: readonly number[] = [${DISTANCES.join(', ')}]\n`,
    `/** Absorption over scattering that the laws of delay were made with. */\nexport const ABSORPTION: number = ${ABSORPTION}\n`,
    list(
      'BRIGHTNESS',
      'light relative to that of all directions at the distance. [distances][cosine of the angle to the axis, -1 to 1]',
      brightness,
    ),
    list(
      'SHAPE',
      'shape of the gamma distribution of delays behind the onset.',
      fits.map(({ laws }) => laws.map(({ shape }) => shape)),
    ),
    list(
      'RATE',
      'rate of that distribution, in light speed over scattering length.',
      fits.map(({ laws }) => laws.map(({ rate }) => rate)),
    ),
    `/** Thousandths: least delay, in scattering length over light speed. [distances] */\nexport const ONSET: readonly number[] = [${fits.map(({ onset }) => Math.round(onset * 1000)).join(', ')}]\n`,
  ].join('\n')
}
