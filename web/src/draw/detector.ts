import {
  BufferAttribute,
  BufferGeometry,
  Group,
  LineBasicMaterial,
  LineSegments,
  Points,
  ShaderMaterial,
} from 'three'
import { CENTRE_DEPTH_M, sensorPositions } from '../../../src/event/sensors.ts'
import { outline, stringLines } from '../detector.ts'
import { PALETTE } from './palette.ts'

const TOP_M = CENTRE_DEPTH_M - 1450
const BOTTOM_M = CENTRE_DEPTH_M - 2450

/** The 5,160 sensors, their cables, and the outline at the top and bottom of the instrumented ice. */
export function detectorGroup(pixelScale: { value: number }): Group {
  const group = new Group()
  group.add(lines(stringLines(), PALETTE.string, 0.55), lines(outlineLines(), PALETTE.outline, 0.8))
  group.add(sensors(pixelScale))
  return group
}

function sensors(pixelScale: { value: number }): Points {
  const geometry = new BufferGeometry()
  geometry.setAttribute('position', new BufferAttribute(sensorPositions, 3))
  const material = new ShaderMaterial({
    uniforms: { pixelScale, colour: { value: PALETTE.sensor } },
    transparent: true,
    depthWrite: false,
    vertexShader: `
      uniform float pixelScale;
      varying float nearness;
      void main() {
        vec4 view = modelViewMatrix * vec4(position, 1.0);
        gl_Position = projectionMatrix * view;
        gl_PointSize = clamp(3.4 * pixelScale / -view.z, 1.2, 6.0);
        // 1 at the near side of the detector, 0 at the far side.
        nearness = clamp((-view.z - length(cameraPosition) - 700.0) / -1400.0, 0.0, 1.0);
      }`,
    fragmentShader: `
      uniform vec3 colour;
      varying float nearness;
      void main() {
        gl_FragColor = vec4(colour, mix(0.28, 0.85, nearness));
        #include <colorspace_fragment>
      }`,
  })
  const points = new Points(geometry, material)
  points.frustumCulled = false
  return points
}

function lines(positions: Float32Array, color: LineBasicMaterial['color'], opacity: number): LineSegments {
  const geometry = new BufferGeometry()
  geometry.setAttribute('position', new BufferAttribute(positions, 3))
  return new LineSegments(
    geometry,
    new LineBasicMaterial({ color, opacity, transparent: true, depthWrite: false }),
  )
}

function outlineLines(): Float32Array {
  const corners = outline()
  const points = [TOP_M, BOTTOM_M].flatMap((z) =>
    corners.flatMap(([x, y], i) => {
      const [nextX, nextY] = corners[(i + 1) % corners.length]
      return [x, y, z, nextX, nextY, z]
    }),
  )
  return Float32Array.from(points)
}
