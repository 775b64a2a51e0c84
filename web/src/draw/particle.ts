import { AdditiveBlending, BufferAttribute, BufferGeometry, Points, ShaderMaterial } from 'three'

/** A small light on the reconstructed line at the position of the particle. */
export function particlePoint(pixelScale: { value: number }): Points {
  const geometry = new BufferGeometry()
  geometry.setAttribute('position', new BufferAttribute(new Float32Array(3), 3))
  const material = new ShaderMaterial({
    uniforms: { pixelScale },
    blending: AdditiveBlending,
    transparent: true,
    depthTest: false,
    depthWrite: false,
    vertexShader: `
      uniform float pixelScale;
      void main() {
        vec4 view = modelViewMatrix * vec4(position, 1.0);
        gl_Position = projectionMatrix * view;
        gl_PointSize = clamp(70.0 * pixelScale / -view.z, 16.0, 90.0);
      }`,
    fragmentShader: `
      void main() {
        float away = length(gl_PointCoord * 2.0 - 1.0);
        if (away > 1.0) discard;
        float halo = pow(1.0 - away, 3.0) * 0.7;
        float core = 1.0 - smoothstep(0.16, 0.24, away);
        gl_FragColor = vec4(vec3(1.0), max(halo, core));
      }`,
  })
  const points = new Points(geometry, material)
  points.frustumCulled = false
  points.renderOrder = 10
  return points
}
