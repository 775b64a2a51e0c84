import { BufferAttribute, BufferGeometry, Points, ShaderMaterial } from 'three'
import { CENTRE_DEPTH_M, SENSOR_COUNT, sensorPositions } from '../../../src/event/sensors.ts'
import { outline, stringLines } from '../detector.ts'
import { PALETTE } from './palette.ts'
import { polyline, type Stroke } from './strokes.ts'

const TOP_M = CENTRE_DEPTH_M - 1450
const BOTTOM_M = CENTRE_DEPTH_M - 2450

const STRIDE = 1_597

/** The cables, and the outline at the top and bottom of the instrumented ice. */
export function detectorStrokes(): Stroke[] {
  const corners = outline()
  const outlines = [TOP_M, BOTTOM_M].flatMap((z) => {
    const points = [...corners, corners[0]].map(([x, y]) => [x, y, z] as const)
    return polyline(points, { color: PALETTE.outline, opacity: 0.9, widthPx: 1 })
  })
  const cables = stringLines().map(([from, to]) => {
    return { from, to, color: PALETTE.string, opacity: 0.55, widthPx: 1 }
  })
  return [...cables, ...outlines]
}

/** The 5,160 sensors in mixed order, so that the first N are a uniform sample for `setDrawRange`. */
export function sensorPoints(pixelScale: { value: number }): Points {
  const geometry = new BufferGeometry()
  geometry.setAttribute('position', new BufferAttribute(mixedPositions(), 3))
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
      }`,
  })
  const points = new Points(geometry, material)
  points.frustumCulled = false
  return points
}

function mixedPositions(): Float32Array {
  const mixed = new Float32Array(sensorPositions.length)
  for (let i = 0; i < SENSOR_COUNT; i++) {
    // A stride that is coprime to the count visits every sensor once.
    const sensor = (i * STRIDE) % SENSOR_COUNT
    mixed.set(sensorPositions.subarray(3 * sensor, 3 * sensor + 3), 3 * i)
  }
  return mixed
}
