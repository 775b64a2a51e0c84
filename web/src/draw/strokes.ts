import {
  BufferAttribute,
  BufferGeometry,
  type Color,
  DoubleSide,
  GreaterDepth,
  LessEqualDepth,
  Mesh,
  ShaderMaterial,
  Vector2,
} from 'three'
import { minus, type Vector } from '../vector.ts'

/** A straight segment with a width in pixels and soft edges. */
export interface Stroke {
  readonly from: Vector
  readonly to: Vector
  readonly color: Color
  readonly opacity: number
  readonly widthPx: number
  /** Length of dash and gap, m; solid by default. */
  readonly dash?: readonly [number, number] | undefined
  /** Length of the line before this segment, m, at which its dashes begin. */
  readonly startM?: number
}

export interface StrokeUniforms {
  /** Size of the picture, pixels. */
  readonly resolution: { readonly value: Vector2 }
  /** Device pixels per CSS pixel. */
  readonly pixelRatio: { value: number }
}

const CORNERS = [-1, 0, 0, 1, 0, 0, -1, 1, 0, 1, 1, 0]
const TRIANGLES = [0, 1, 2, 2, 1, 3]
/** Opacity of lines behind measured light. */
const BEHIND_OPACITY = 0.3

export function strokeUniforms(): StrokeUniforms {
  return { resolution: { value: new Vector2(1, 1) }, pixelRatio: { value: 1 } }
}

/** Two materials of one shader program: for segments in front of and behind measured light. */
export function strokeMaterials(uniforms: StrokeUniforms): readonly [ShaderMaterial, ShaderMaterial] {
  return [strokeMaterial(uniforms, false), strokeMaterial(uniforms, true)]
}

/**
 * Draws all strokes in one draw call per material. WebGL's own lines are one pixel wide, with hard edges. Not instanced:
 * a software renderer handles every instance as a separate draw call.
 */
export function strokeMeshes(strokes: readonly Stroke[], materials: readonly ShaderMaterial[]): Mesh[] {
  const geometry = new BufferGeometry()
  // Four corners per segment: side of the line, and end of the segment.
  const column = (size: number, of: (stroke: Stroke) => readonly number[]) =>
    new BufferAttribute(
      Float32Array.from(strokes.flatMap((stroke) => Array(4).fill(of(stroke)).flat())),
      size,
    )
  geometry.setAttribute('position', new BufferAttribute(Float32Array.from(strokes.flatMap(() => CORNERS)), 3))
  geometry.setAttribute(
    'lineFrom',
    column(3, ({ from }) => from),
  )
  geometry.setAttribute(
    'lineTo',
    column(3, ({ to }) => to),
  )
  geometry.setAttribute(
    'tint',
    column(4, ({ color, opacity }) => [color.r, color.g, color.b, opacity]),
  )
  geometry.setAttribute(
    'shape',
    column(4, ({ widthPx, dash, startM }) => [widthPx, dash?.[0] ?? 0, dash?.[1] ?? 0, startM ?? 0]),
  )
  geometry.setIndex(strokes.flatMap((_, i) => TRIANGLES.map((corner) => 4 * i + corner)))
  return materials.map((material) => {
    const mesh = new Mesh(geometry, material)
    mesh.frustumCulled = false
    mesh.renderOrder = 2
    return mesh
  })
}

/** Strokes along points, with dashes that continue across the corners. */
export function polyline(points: readonly Vector[], style: Omit<Stroke, 'from' | 'to' | 'startM'>): Stroke[] {
  let startM = 0
  return points.slice(1).map((to, i) => {
    const from = points[i]
    const stroke = { ...style, from, to, startM }
    startM += Math.hypot(...minus(to, from))
    return stroke
  })
}

function strokeMaterial(uniforms: StrokeUniforms, isBehind: boolean): ShaderMaterial {
  return new ShaderMaterial({
    uniforms: { ...uniforms, share: { value: isBehind ? BEHIND_OPACITY : 1 } },
    transparent: true,
    depthWrite: false,
    side: DoubleSide,
    depthFunc: isBehind ? GreaterDepth : LessEqualDepth,
    vertexShader: `
      attribute vec3 lineFrom;
      attribute vec3 lineTo;
      attribute vec4 tint;
      attribute vec4 shape;
      uniform vec2 resolution;
      uniform float pixelRatio;
      varying vec4 colour;
      varying vec3 dash;
      varying float aside;
      varying float halfWidth;
      const float NEAR = -12.0;
      void main() {
        vec4 a = modelViewMatrix * vec4(lineFrom, 1.0);
        vec4 b = modelViewMatrix * vec4(lineTo, 1.0);
        colour = tint;
        halfWidth = shape.x * pixelRatio * 0.5;
        float along = position.y;
        // Points behind the camera cannot be projected: the line is clipped in front of it.
        if (a.z > NEAR && b.z > NEAR) {
          gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
          return;
        }
        if (a.z > NEAR) {
          float cut = (NEAR - a.z) / (b.z - a.z);
          along = mix(cut, 1.0, along);
          a = mix(a, b, cut);
        } else if (b.z > NEAR) {
          float cut = (NEAR - a.z) / (b.z - a.z);
          along *= cut;
          b = mix(a, b, cut);
        }
        dash = vec3(shape.w + along * length(lineTo - lineFrom), shape.yz);
        vec4 clipA = projectionMatrix * a;
        vec4 clipB = projectionMatrix * b;
        vec2 way = (clipB.xy / clipB.w - clipA.xy / clipA.w) * resolution;
        vec2 unit = length(way) < 1e-6 ? vec2(1.0, 0.0) : normalize(way);
        aside = position.x * (halfWidth + 1.0);
        gl_Position = position.y < 0.5 ? clipA : clipB;
        gl_Position.xy += vec2(-unit.y, unit.x) * aside * 2.0 / resolution * gl_Position.w;
      }`,
    fragmentShader: `
      uniform float share;
      varying vec4 colour;
      varying vec3 dash;
      varying float aside;
      varying float halfWidth;
      void main() {
        if (dash.y > 0.0 && mod(dash.x, dash.y + dash.z) > dash.y) discard;
        float cover = clamp(halfWidth + 0.5 - abs(aside), 0.0, 1.0);
        gl_FragColor = vec4(colour.rgb, colour.a * share * cover);
      }`,
  })
}
