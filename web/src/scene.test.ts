import { describe, expect, it } from 'vitest'
import { toSourceVector, vmfRadius } from '../../src/event/direction.ts'
import { exampleCascade, exampleEvent, exampleTrack } from './example-events.ts'
import { buildScene, isInFlight, particleAt } from './scene.ts'
import { dot, minus, unit, type Vector } from './vector.ts'

const DIRECTIONS = [
  { name: 'straight down', azimuth: 0, zenith: 0 },
  { name: 'straight up', azimuth: 0, zenith: Math.PI },
  { name: 'level, towards -x', azimuth: 0, zenith: Math.PI / 2 },
  { name: 'upwards, aslant', azimuth: 4, zenith: 2.2 },
]

/** Correlation of position and time of the marks along a direction, -1 to 1. */
function correlation(scene: ReturnType<typeof buildScene>, way: Vector): number {
  const { positions, shares, count } = scene.marks
  const along = Array.from({ length: count }, (_, i) =>
    dot([positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]], way),
  )
  const mean = (values: ArrayLike<number>) =>
    Array.from(values).reduce((sum, v) => sum + v, 0) / values.length
  const [ma, ms] = [mean(along), mean(shares)]
  const cov = along.reduce((sum, a, i) => sum + (a - ma) * (shares[i] - ms), 0)
  const spread = (values: ArrayLike<number>, m: number) =>
    Math.sqrt(Array.from(values).reduce((sum, v) => sum + (v - m) ** 2, 0))
  return cov / spread(along, ma) / spread(shares, ms)
}

describe('buildScene()', () => {
  it.each(DIRECTIONS)('draws the arrow the way the pulses move: $name', ({ azimuth, zenith }) => {
    const scene = buildScene(exampleTrack({ azimuth, zenith }))
    const [{ tail, head }] = scene.lines
    expect(correlation(scene, unit(minus(head, tail)))).toBeGreaterThan(0.9)
  })

  it('points opposite to the direction of the source', () => {
    const [{ tail, head }] = buildScene(exampleTrack({ azimuth: 0.3, zenith: 0.4 })).lines
    expect(dot(unit(minus(head, tail)), toSourceVector(0.3, 0.4))).toBeCloseTo(-1, 6)
    expect(head[2]).toBeLessThan(tail[2])
  })

  it('draws all lines through the centre of the light', () => {
    const event = exampleCascade([100, -50, -200])
    const scene = buildScene({
      ...event,
      truth: { azimuth: 2, zenith: 1 },
      reference: { azimuth: 2.5, zenith: 1.5 },
      lineFit: { azimuth: 3, zenith: 2 },
    })
    expect(Math.hypot(...minus(scene.anchor, [100, -50, -200]))).toBeLessThan(45)
    expect(scene.lines.map(({ role }) => role)).toEqual(['reconstructed', 'truth', 'reference', 'line-fit'])
    for (const { tail, head } of scene.lines) {
      const toAnchor = unit(minus(scene.anchor, tail))
      expect(dot(toAnchor, unit(minus(head, tail)))).toBeCloseTo(1, 6)
    }
  })

  it('draws the reference as a line of its own where there is no truth', () => {
    const scene = buildScene({
      ...exampleTrack({ azimuth: 2, zenith: 1 }),
      reference: { azimuth: 2, zenith: 1 },
    })
    expect(scene.lines.map(({ label }) => label)).toEqual(['reconstructed', 'reference'])
  })

  it('draws one line if the model is the line fit', () => {
    const direction = { azimuth: 2, zenith: 1 }
    const scene = buildScene({ ...exampleTrack(direction), lineFit: { azimuth: 2.001, zenith: 1 } })
    expect(scene.lines.map(({ label }) => label)).toEqual(['reconstructed = line fit'])
  })

  it('labels the fallback direction as not determined', () => {
    const scene = buildScene(exampleEvent({ prediction: { azimuth: 0, zenith: 0, degenerate: true } }))
    expect(scene.lines[0].label).toBe('not determined')
  })

  it('opens cones of 50 % and 90 % towards the source', () => {
    const direction = { azimuth: 5, zenith: 2, kappa: 40 }
    const { cones, anchor } = buildScene(exampleEvent({ prediction: direction }))
    expect(cones.map(({ share }) => share)).toEqual([0.5, 0.9])
    for (const { share, rim } of cones) {
      for (let i = 0; i < rim.length; i += 3) {
        const ray = unit(minus([rim[i], rim[i + 1], rim[i + 2]], anchor))
        const angle = Math.acos(dot(ray, toSourceVector(5, 2)))
        expect(angle).toBeCloseTo(vmfRadius(share, 40), 4)
      }
    }
  })

  it('has no cone if the model gives no uncertainty', () => {
    expect(buildScene(exampleEvent({})).cones).toEqual([])
  })

  it.each([
    { name: 'one pulse', hits: [{ id: 5159, timeNs: 9_999, charge: 0.1 }] },
    { name: 'auxiliary pulses only', hits: [{ id: 7, timeNs: 1, charge: 2, isAuxiliary: true }] },
    { name: 'pulses in the outermost corner', hits: [0, 1].map((id) => ({ id, timeNs: 9 * id, charge: 1 })) },
    { name: 'pulses at one time', hits: [1, 2, 3].map((id) => ({ id, timeNs: 5, charge: 1 })) },
    { name: 'no pulses at all', hits: [] },
  ])('draws an event of $name', ({ hits }) => {
    const scene = buildScene(exampleEvent({ hits, prediction: { azimuth: 1, zenith: 1, kappa: 0 } }))
    const numbers = [
      ...scene.lines.flatMap(({ tail, head }) => [...tail, ...head]),
      ...scene.cones.flatMap(({ rim }) => [...rim]),
      ...scene.marks.positions,
      ...scene.marks.shares,
      ...particleAt(scene, 0),
    ]
    expect(numbers.every(Number.isFinite)).toBe(true)
    expect(scene.window.toNs).toBeGreaterThan(scene.window.fromNs)
  })
})

describe('particleAt()', () => {
  it('moves at the speed of light and no further than the arrow', () => {
    const scene = buildScene(exampleTrack({ azimuth: 1, zenith: 2 }))
    const { anchorNs } = scene.flight
    const step = minus(particleAt(scene, anchorNs + 1_000), particleAt(scene, anchorNs))
    expect(Math.hypot(...step)).toBeCloseTo(299.79, 1)
    const [{ tail, head }] = scene.lines
    for (const axis of [0, 1, 2]) {
      expect(particleAt(scene, 1e9)[axis]).toBeCloseTo(head[axis], 3)
      expect(particleAt(scene, -1e9)[axis]).toBeCloseTo(tail[axis], 3)
    }
  })
})

describe('isInFlight()', () => {
  it('is visible only between the ends of the line, so that the head of the arrow is visible at the end', () => {
    const scene = buildScene(exampleTrack({ azimuth: 1, zenith: 2 }))
    const { anchorNs, headM, tailM } = scene.flight
    const at = (metres: number) => anchorNs + metres / 0.299792458
    expect([-tailM - 1, -tailM + 1, 0, headM - 1, headM + 1].map((m) => isInFlight(scene, at(m)))).toEqual([
      ...[false, true, true, true, false],
    ])
  })
})
