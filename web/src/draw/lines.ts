import {
  BufferAttribute,
  BufferGeometry,
  type Color,
  ConeGeometry,
  DoubleSide,
  GreaterDepth,
  Group,
  LessEqualDepth,
  Mesh,
  MeshBasicMaterial,
  Quaternion,
  Vector3,
} from 'three'
import { LineMaterial } from 'three/examples/jsm/lines/LineMaterial.js'
import { LineSegments2 } from 'three/examples/jsm/lines/LineSegments2.js'
import { LineSegmentsGeometry } from 'three/examples/jsm/lines/LineSegmentsGeometry.js'
import type { SceneCone, SceneLine } from '../scene.ts'
import { across, minus, plus, times, unit, type Vector } from '../vector.ts'
import { PALETTE } from './palette.ts'

interface Stroke {
  readonly color: Color
  readonly widthPx: number
  readonly opacity: number
  /** Length of dash and gap, m; a whole line without. */
  readonly dash?: readonly [number, number] | undefined
}

const STROKES: Readonly<Record<SceneLine['role'], Stroke>> = {
  reconstructed: { color: PALETTE.reconstructed, widthPx: 2.6, opacity: 0.95 },
  truth: { color: PALETTE.truth, widthPx: 2.2, opacity: 1, dash: [46, 26] },
  'line-fit': { color: PALETTE.lineFit, widthPx: 2.5, opacity: 0.9, dash: [7, 17] },
}
const HEAD_M = 64
/** What lies behind measured light shines through it this much. */
const BEHIND_OPACITY = 0.3

/** An arrow in travel direction: solid with a full head, dashed with an open head, or dotted with a diamond. */
export function arrow(line: SceneLine): Group {
  const group = new Group()
  const stroke = STROKES[line.role]
  group.add(strokes([line.tail, line.head], stroke))
  if (line.role === 'reconstructed') group.add(...fullHead(line, stroke.color))
  else
    group.add(strokes(line.role === 'truth' ? openHead(line) : diamond(line), { ...stroke, dash: undefined }))
  return group
}

/** A surface that is hardly there, and its edge: whole for the narrower cone, dashed for the wider one. */
export function cone({ apex, rim, share }: SceneCone): Group {
  const group = new Group()
  const points = rim.length / 3
  const corners = new Float32Array(9 * points)
  const edge: Vector[] = []
  for (let i = 0; i < points; i++) {
    const here = rim.subarray(3 * i, 3 * i + 3)
    const next = rim.subarray(3 * ((i + 1) % points), 3 * ((i + 1) % points) + 3)
    corners.set([...apex, ...here, ...next], 9 * i)
    edge.push([here[0], here[1], here[2]], [next[0], next[1], next[2]])
  }
  const geometry = new BufferGeometry()
  geometry.setAttribute('position', new BufferAttribute(corners, 3))
  const surface = new MeshBasicMaterial({
    color: PALETTE.reconstructed,
    opacity: 0.045,
    transparent: true,
    depthWrite: false,
    side: DoubleSide,
  })
  const isNarrow = share <= 0.5
  const stroke = { color: PALETTE.reconstructed, widthPx: 1.4, opacity: isNarrow ? 0.75 : 0.5 }
  group.add(new Mesh(geometry, surface), strokes(edge, isNarrow ? stroke : { ...stroke, dash: [24, 18] }))
  return group
}

/** Line segments from pairs of points: in full where they are in front, faint where light is before them. */
function strokes(points: readonly Vector[], stroke: Stroke): Group {
  const geometry = new LineSegmentsGeometry()
  geometry.setPositions(points.flat())
  const group = new Group()
  for (const isBehind of [false, true]) {
    const material = new LineMaterial({
      color: stroke.color,
      linewidth: stroke.widthPx,
      opacity: stroke.opacity * (isBehind ? BEHIND_OPACITY : 1),
      transparent: true,
      depthWrite: false,
      depthFunc: isBehind ? GreaterDepth : LessEqualDepth,
    })
    if (stroke.dash) {
      material.dashed = true
      material.dashSize = stroke.dash[0]
      material.gapSize = stroke.dash[1]
    }
    const segments = new LineSegments2(geometry, material)
    if (stroke.dash) segments.computeLineDistances()
    segments.frustumCulled = false
    group.add(segments)
  }
  return group
}

function fullHead({ tail, head }: SceneLine, color: Color): Mesh[] {
  const travel = unit(minus(head, tail))
  const geometry = new ConeGeometry(HEAD_M * 0.34, HEAD_M, 24)
  geometry.translate(0, -HEAD_M / 2, 0)
  return [false, true].map((isBehind) => {
    const opacity = isBehind ? BEHIND_OPACITY : 1
    const depthFunc = isBehind ? GreaterDepth : LessEqualDepth
    const material = new MeshBasicMaterial({
      color,
      opacity,
      transparent: true,
      depthWrite: false,
      depthFunc,
    })
    const mesh = new Mesh(geometry, material)
    mesh.position.set(...head)
    mesh.quaternion.copy(new Quaternion().setFromUnitVectors(new Vector3(0, 1, 0), new Vector3(...travel)))
    return mesh
  })
}

/** Four barbs: seen from any side at least two stand out. */
function openHead({ tail, head }: SceneLine): Vector[] {
  const travel = unit(minus(head, tail))
  const back = plus(head, times(travel, -HEAD_M))
  return fourAround(travel, HEAD_M * 0.5).flatMap((aside) => [head, plus(back, aside)])
}

function diamond({ tail, head }: SceneLine): Vector[] {
  const travel = unit(minus(head, tail))
  const size = HEAD_M * 0.3
  const ends = [plus(head, times(travel, size)), plus(head, times(travel, -size))]
  const belt = fourAround(travel, size).map((aside) => plus(head, aside))
  return belt.flatMap((point, i) => [point, ends[0], point, ends[1], point, belt[(i + 1) % 4]])
}

function fourAround(axis: Vector, radius: number): Vector[] {
  const [first, second] = across(axis)
  return [first, second, times(first, -1), times(second, -1)].map((way) => times(way, radius))
}
