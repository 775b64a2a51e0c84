import { type GeoProjection, geoGraticule, geoPath } from 'd3-geo'
import type { DirectionRad, DrawnEvent, SkyPoints } from '../../src/display/messages.ts'
import {
  circleLine,
  circleOf,
  circleOpacity,
  frameOf,
  type LonLat,
  placeIn,
  placeOf,
  type SkyFrame,
  skyProjection,
} from './sky.ts'

export interface SkyPicture {
  readonly points: SkyPoints
  readonly shown: DrawnEvent | undefined
  readonly width: number
  readonly height: number
  /** Device pixels per CSS pixel. */
  readonly ratio: number
}

/** Positions of the points in the picture, CSS pixels; null for points that cannot be opened. */
export type SkyTargets = readonly (readonly [number, number] | null)[]

/** Number of newest points drawn with their error circles; older points are dots. */
export const CIRCLES_MAX = 20

const INK = {
  sphere: '#0d1219',
  graticule: '#263242',
  horizon: '#46566a',
  edge: '#46566a',
  text: '#8d99a9',
  dot: '#ff9e6d',
  circle: '#ffb48f',
  shown: '#ffffff',
  truth: '#57c8ee',
  reference: '#7fd98b',
}

/** Draws the map. Returns the positions of the points that can be clicked. */
export function drawSky(context: CanvasRenderingContext2D, picture: SkyPicture): SkyTargets {
  const { points, shown, width, height, ratio } = picture
  const frame = frameOf(points)
  const projection = skyProjection(width, height, frame)
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.clearRect(0, 0, width, height)
  drawGround(context, projection, frame)
  const targets = drawPoints(context, projection, points)
  drawCircles(context, projection, points)
  drawNames(context, projection, frame)
  if (shown) drawShown(context, projection, { shown, frame })
  return targets
}

function drawGround(context: CanvasRenderingContext2D, projection: GeoProjection, frame: SkyFrame): void {
  const path = geoPath(projection, context)
  context.fillStyle = INK.sphere
  stroke(context, { color: INK.edge, width: 1 }, () => path({ type: 'Sphere' }))
  context.fill()
  stroke(context, { color: INK.graticule, width: 1 }, () =>
    path(
      geoGraticule()
        .step([30, 30])
        .extentMajor([
          [-180, -90],
          [180, 90.1],
        ])(),
    ),
  )
  if (frame === 'equatorial') return
  const horizon = Array.from({ length: 73 }, (_, i): LonLat => [i * 5, 0])
  stroke(context, { color: INK.horizon, width: 1.2 }, () =>
    path({ type: 'LineString', coordinates: horizon }),
  )
}

function drawPoints(
  context: CanvasRenderingContext2D,
  projection: GeoProjection,
  points: SkyPoints,
): SkyTargets {
  const count = points.azimuth.length
  const targets: ([number, number] | null)[] = []
  context.fillStyle = INK.dot
  for (let i = 0; i < count; i++) {
    const place = projection(placeOf(points, i))
    targets.push(place && points.key[i] !== null ? place : null)
    if (!place) continue
    // The newest tenth is drawn bright, older points dim.
    const isNew = i >= count * 0.9
    context.globalAlpha = isNew ? 0.95 : 0.4
    const size = isNew ? 2.4 : 1.6
    context.fillRect(place[0] - size / 2, place[1] - size / 2, size, size)
  }
  context.globalAlpha = 1
  return targets
}

function drawCircles(context: CanvasRenderingContext2D, projection: GeoProjection, points: SkyPoints): void {
  const path = geoPath(projection, context)
  const count = points.azimuth.length
  const from = Math.max(0, count - CIRCLES_MAX)
  for (let i = from; i < count; i++) {
    const circle = circleOf(placeOf(points, i), points.kappa[i])
    if (!circle) continue
    context.globalAlpha = circleOpacity(circle, (i + 1 - from) / (count - from))
    stroke(context, { color: INK.circle, width: 1.2 }, () => path(circleLine(circle)))
  }
  context.globalAlpha = 1
}

/** The drawn event: a ring with its circle, a cross for the truth and a plus sign for the reference. */
function drawShown(
  context: CanvasRenderingContext2D,
  projection: GeoProjection,
  { shown, frame }: { readonly shown: DrawnEvent; readonly frame: SkyFrame },
): void {
  const path = geoPath(projection, context)
  const centre = placeIn(frame, shown.prediction, shown.utcMs)
  const place = centre && projection(centre)
  const circle = centre && circleOf(centre, shown.prediction.kappa)
  if (circle) stroke(context, { color: INK.shown, width: 1.6 }, () => path(circleLine(circle)))
  if (place)
    stroke(context, { color: INK.shown, width: 2 }, () => context.arc(place[0], place[1], 6, 0, 2 * Math.PI))
  const at = (direction: DirectionRad | null | undefined) => {
    const found = direction && placeIn(frame, direction, shown.utcMs)
    return found && projection(found)
  }
  const cross = at(shown.truth)
  if (cross)
    stroke(context, { color: INK.truth, width: 2 }, () => {
      lineThrough(context, cross, [6, 6])
      lineThrough(context, cross, [6, -6])
    })
  const plus = at(shown.reference)
  if (plus)
    stroke(context, { color: INK.reference, width: 2 }, () => {
      lineThrough(context, plus, [8, 0])
      lineThrough(context, plus, [0, 8])
    })
}

/** A line with its centre at a place; `reach` goes from there to one end. */
function lineThrough(
  context: CanvasRenderingContext2D,
  [x, y]: readonly [number, number],
  [reachX, reachY]: readonly [number, number],
): void {
  context.moveTo(x - reachX, y - reachY)
  context.lineTo(x + reachX, y + reachY)
}

function drawNames(context: CanvasRenderingContext2D, projection: GeoProjection, frame: SkyFrame): void {
  context.fillStyle = INK.text
  context.font = `${Math.max(10, Math.round(projection.scale() / 9))}px ${getComputedStyle(document.body).fontFamily}`
  // A dark outline separates the letters from the points.
  context.strokeStyle = INK.sphere
  context.lineWidth = 3
  context.lineJoin = 'round'
  context.textAlign = 'center'
  context.textBaseline = 'middle'
  const write = (text: string, at: LonLat, shift: readonly [number, number] = [0, 0]) => {
    const place = projection(at)
    if (!place) return
    context.strokeText(text, place[0] + shift[0], place[1] + shift[1])
    context.fillText(text, place[0] + shift[0], place[1] + shift[1])
  }
  for (const degrees of [60, 120, 180, 240, 300])
    write(`${degrees}°`, [degrees > 180 ? degrees - 360 : degrees, 0], [0, 8])
  if (frame === 'equatorial') return
  write('from above', [180, 48])
  write('from below, through the Earth', [180, -48])
}

function stroke(
  context: CanvasRenderingContext2D,
  { color, width }: { readonly color: string; readonly width: number },
  trace: () => void,
): void {
  context.strokeStyle = color
  context.lineWidth = width
  context.beginPath()
  trace()
  context.stroke()
}
