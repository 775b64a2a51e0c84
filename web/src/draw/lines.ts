import { BufferAttribute, BufferGeometry, type Color, DoubleSide, Mesh, ShaderMaterial } from 'three'
import type { SceneCone, SceneLine } from '../scene.ts'
import { across, minus, plus, times, unit, type Vector } from '../vector.ts'
import { PALETTE } from './palette.ts'
import { polyline, type Stroke } from './strokes.ts'

type Style = Omit<Stroke, 'from' | 'to' | 'startM'>

const STYLES: Readonly<Record<SceneLine['role'], Style>> = {
  reconstructed: { color: PALETTE.reconstructed, widthPx: 2.6, opacity: 0.95 },
  truth: { color: PALETTE.truth, widthPx: 2.2, opacity: 1, dash: [46, 26] },
  reference: { color: PALETTE.reference, widthPx: 2.2, opacity: 1, dash: [22, 14] },
  'line-fit': { color: PALETTE.lineFit, widthPx: 2.4, opacity: 0.95, dash: [8, 16] },
}
const HEAD_M = 64
const HEAD_SIDES = 20
const CONE_OPACITY = 0.055

/** A triangle of one colour. */
export interface Face {
  readonly corners: readonly [Vector, Vector, Vector]
  readonly color: Color
  readonly opacity: number
}

/** An arrow in the direction of travel: solid with a filled head, dashed with an open head, dashed with a crossbar, or dotted with a diamond. */
export function arrowStrokes(line: SceneLine): Stroke[] {
  const style = STYLES[line.role]
  const shaft = polyline([line.tail, line.head], style)
  const whole = { ...style, dash: undefined }
  if (line.role === 'truth') return [...shaft, ...openHead(line).flatMap((barb) => polyline(barb, whole))]
  if (line.role === 'reference') return [...shaft, ...crossbar(line).flatMap((bar) => polyline(bar, whole))]
  return line.role === 'line-fit' ? [...shaft, ...polyline(diamond(line), whole)] : shaft
}

export function arrowFaces(line: SceneLine): Face[] {
  if (line.role !== 'reconstructed') return []
  const { color } = STYLES.reconstructed
  const travel = unit(minus(line.head, line.tail))
  const belt = around(travel, HEAD_SIDES, HEAD_M * 0.34).map((aside) =>
    plus(plus(line.head, times(travel, -HEAD_M)), aside),
  )
  return belt.map((corner, i) => ({
    corners: [line.head, corner, belt[(i + 1) % HEAD_SIDES]],
    color,
    opacity: 1,
  }))
}

/** The edge: solid for the narrower cone, dashed for the wider one. */
export function coneStrokes({ rim, share }: SceneCone): Stroke[] {
  const points = rimPoints(rim)
  const isNarrow = share <= 0.5
  return polyline([...points, points[0]], {
    color: PALETTE.reconstructed,
    widthPx: 1.5,
    opacity: isNarrow ? 0.8 : 0.6,
    dash: isNarrow ? undefined : [24, 18],
  })
}

/** An almost transparent surface. */
export function coneFaces({ apex, rim }: SceneCone): Face[] {
  const points = rimPoints(rim)
  return points.map((point, i) => ({
    corners: [apex, point, points[(i + 1) % points.length]],
    color: PALETTE.reconstructed,
    opacity: CONE_OPACITY,
  }))
}

export function facesMaterial(): ShaderMaterial {
  return new ShaderMaterial({
    transparent: true,
    depthWrite: false,
    side: DoubleSide,
    vertexShader: `
      attribute vec4 tint;
      varying vec4 colour;
      void main() {
        colour = tint;
        gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
      }`,
    fragmentShader: `
      varying vec4 colour;
      void main() {
        gl_FragColor = colour;
      }`,
  })
}

export function facesMesh(faces: readonly Face[], material: ShaderMaterial): Mesh {
  const positions = Float32Array.from(faces.flatMap(({ corners }) => corners.flat()))
  const tints = Float32Array.from(
    faces.flatMap(({ color, opacity }) => [0, 1, 2].flatMap(() => [color.r, color.g, color.b, opacity])),
  )
  const geometry = new BufferGeometry()
  geometry.setAttribute('position', new BufferAttribute(positions, 3))
  geometry.setAttribute('tint', new BufferAttribute(tints, 4))
  const mesh = new Mesh(geometry, material)
  mesh.frustumCulled = false
  mesh.renderOrder = 1
  return mesh
}

function rimPoints(rim: Float32Array): Vector[] {
  return Array.from(
    { length: rim.length / 3 },
    (_, i) => [rim[3 * i], rim[3 * i + 1], rim[3 * i + 2]] as const,
  )
}

/** Four barbs: at least two are visible from any side. */
function openHead({ tail, head }: SceneLine): (readonly [Vector, Vector])[] {
  const travel = unit(minus(head, tail))
  const back = plus(head, times(travel, -HEAD_M))
  return around(travel, 4, HEAD_M * 0.5).map((aside) => [head, plus(back, aside)] as const)
}

/** Two bars across the head: seen from any side at least one stands out. */
function crossbar({ tail, head }: SceneLine): (readonly [Vector, Vector])[] {
  const [a, b, c, d] = around(unit(minus(head, tail)), 4, HEAD_M * 0.4).map((aside) => plus(head, aside))
  return [
    [a, c],
    [b, d],
  ]
}

/** An octahedron, drawn in one go over all its edges. */
function diamond({ tail, head }: SceneLine): Vector[] {
  const travel = unit(minus(head, tail))
  const size = HEAD_M * 0.32
  const tip = plus(head, times(travel, size))
  const end = plus(head, times(travel, -size))
  const [a, b, c, d] = around(travel, 4, size).map((aside) => plus(head, aside))
  return [a, b, c, d, a, tip, c, end, a, b, tip, d, end, b]
}

function around(axis: Vector, count: number, radius: number): Vector[] {
  const [first, second] = across(axis)
  return Array.from({ length: count }, (_, i) => {
    const turn = (2 * Math.PI * i) / count
    return times(plus(times(first, Math.cos(turn)), times(second, Math.sin(turn))), radius)
  })
}
