import { BufferAttribute, BufferGeometry, Points, ShaderMaterial } from 'three'
import type { PulseMarks } from '../pulse-columns.ts'

/** Time within the event, 0 to 1; above 1 no mark flashes. */
export interface MarkUniforms {
  readonly share: { value: number }
  readonly pixelScale: { value: number }
  /** 0 with reduced motion. */
  readonly flash: { value: number }
}

export function marksMaterial(uniforms: MarkUniforms): ShaderMaterial {
  return new ShaderMaterial({
    uniforms: { ...uniforms },
    // Soft edges. Marks still use the depth buffer, so that they need no sorting.
    transparent: true,
    depthWrite: true,
    vertexShader: `
      attribute float radius;
      attribute float appears;
      attribute float until;
      attribute float faint;
      attribute vec3 colour;
      uniform float share;
      uniform float pixelScale;
      uniform float flash;
      varying vec3 tint;
      varying float glow;
      varying float ring;
      varying float pixels;
      void main() {
        vec4 view = modelViewMatrix * vec4(position, 1.0);
        float age = share - appears;
        glow = flash * exp(-55.0 * max(age, 0.0));
        float size = radius * (1.0 + 0.6 * glow) * (faint > 0.5 ? 0.75 : 1.0);
        pixels = clamp(2.0 * size * pixelScale / -view.z, 7.0, 160.0);
        gl_PointSize = pixels;
        gl_Position = age < 0.0 || share >= until ? vec4(2.0, 2.0, 2.0, 1.0) : projectionMatrix * view;
        tint = colour;
        ring = faint;
      }`,
    fragmentShader: `
      varying vec3 tint;
      varying float glow;
      varying float ring;
      varying float pixels;
      void main() {
        vec2 place = gl_PointCoord * 2.0 - 1.0;
        float away = length(place);
        float soft = 2.0 / pixels;
        float alpha = 1.0 - smoothstep(1.0 - 2.0 * soft, 1.0, away);
        if (ring > 0.5) alpha *= smoothstep(0.5, 0.5 + 2.0 * soft, away) * 0.8;
        if (alpha < 0.05) discard;
        float height = sqrt(max(0.0, 1.0 - away * away));
        float light = 0.74 + 0.26 * clamp(dot(vec3(place.x, -place.y, height), vec3(-0.45, 0.55, 0.7)), 0.0, 1.0);
        vec3 shaded = tint * mix(light, 0.5, smoothstep(0.82, 1.0, away) * (1.0 - ring));
        gl_FragColor = vec4(mix(shaded, vec3(1.0), 0.5 * glow), alpha);
      }`,
  })
}

export function marksPoints(marks: PulseMarks, material: ShaderMaterial): Points {
  const geometry = new BufferGeometry()
  geometry.setAttribute('position', new BufferAttribute(marks.positions, 3))
  geometry.setAttribute('colour', new BufferAttribute(marks.colours, 3))
  geometry.setAttribute('radius', new BufferAttribute(marks.radii, 1))
  geometry.setAttribute('appears', new BufferAttribute(marks.shares, 1))
  geometry.setAttribute('until', new BufferAttribute(marks.untils, 1))
  geometry.setAttribute('faint', new BufferAttribute(marks.isFaint, 1))
  const points = new Points(geometry, material)
  points.frustumCulled = false
  return points
}
