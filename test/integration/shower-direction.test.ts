import { describe, expect, it } from 'vitest'
import { SENSOR_COUNT } from '../../src/event/sensors.ts'
import { logGamma } from '../../src/simulator/gamma-function.ts'
import { Illumination, type Line } from '../../src/simulator/illumination.ts'
import { type Arrival, type LightSink, Photocathodes } from '../../src/simulator/photocathodes.ts'
import { Photons } from '../../src/simulator/photons.ts'
import { Random } from '../../src/simulator/random.ts'

type Vector = readonly number[]

/** Light that sensors expect of a shower: one row for each sensor and point of light that reaches it. */
class ExpectedLight implements LightSink {
  rows = 0
  total = 0
  readonly sensors: number[] = []
  readonly means: number[] = []
  readonly arrivals: Arrival[] = []
  readonly perSensor = new Float64Array(SENSOR_COUNT)
  #mean = 0

  clear(): void {
    this.rows = 0
    this.total = 0
    this.perSensor.fill(0)
  }

  drawCount(mean: number): number {
    this.#mean = mean
    return 1
  }

  add(sensor: number, _count: number, arrival: Arrival): void {
    this.sensors[this.rows] = sensor
    this.means[this.rows] = this.#mean
    this.arrivals[this.rows] = { ...arrival }
    this.rows++
    this.total += this.#mean
    this.perSensor[sensor] += this.#mean
  }
}

const expected = new ExpectedLight()
const expecting = new Illumination(expected)

function expectLight(line: Line, energyGev: number): ExpectedLight {
  expected.clear()
  expecting.addShower(line, 0, energyGev)
  return expected
}

function lineAt([x, y, z]: Vector, [px, py, pz]: Vector): Line {
  return { timeNs: 0, x, y, z, px, py, pz }
}

/** Times that the tube scatters light over, ns, and what else it may be: late pulses, afterpulses, noise. */
const RESOLUTION_NS = 3
const PROMPT_SHARE = 0.9
const LATE_PER_NS = 0.1 / 4000
const NOISE_PER_NS = 5e-7

/** Photo-electrons per ns around `since`, ns after the direct light. */
function density({ shape, rate }: Arrival, since: number, norm: number): number {
  if (since < -2 * RESOLUTION_NS) return 0
  // Below the resolution the density is what the gamma distribution has up to there, spread over it.
  const x = rate * Math.max(since, RESOLUTION_NS)
  const there = rate * Math.exp((shape - 1) * Math.log(x) - x - norm)
  return since > RESOLUTION_NS ? there : (there * x) / (shape * rate * 3 * RESOLUTION_NS)
}

/** What a detector saw of a shower: photo-electrons of each sensor, and the times of those that were drawn one by one. */
class Seen implements LightSink {
  readonly counts = new Float64Array(SENSOR_COUNT)
  times: number[][] = Array.from({ length: SENSOR_COUNT }, () => [])
  readonly #cathodes: Photocathodes

  constructor(line: Line, energyGev: number, random: Random) {
    const photons = new Photons()
    this.#cathodes = new Photocathodes(random, photons)
    this.#cathodes.restart()
    new Illumination(this).addShower(line, 0, energyGev)
    for (let i = 0; i < photons.count; i++) this.times[photons.sensors[i]].push(photons.times[i])
    this.times = this.times.map((times) => thin(times))
  }

  drawCount(mean: number): number {
    return this.#cathodes.drawCount(mean)
  }

  add(sensor: number, count: number, arrival: Arrival): void {
    this.counts[sensor] += count
    this.#cathodes.add(sensor, count, arrival)
  }

  likelihoodOfCounts(line: Line, energyGev: number): number {
    const { total, perSensor } = expectLight(line, energyGev)
    let sum = -total
    for (let sensor = 0; sensor < SENSOR_COUNT; sensor++)
      if (this.counts[sensor] > 0) sum += this.counts[sensor] * Math.log(perSensor[sensor] + 1e-3)
    return sum
  }

  likelihood(line: Line, energyGev: number): number {
    let sum = this.likelihoodOfCounts(line, energyGev)
    const { rows, sensors, means, arrivals, perSensor } = expected
    const densities = this.times.map((times) => new Float64Array(times.length).fill(NOISE_PER_NS))
    for (let row = 0; row < rows; row++) {
      const arrival = arrivals[row]
      const norm = logGamma(arrival.shape)
      const share = means[row] / perSensor[sensors[row]]
      for (const [i, time] of this.times[sensors[row]].entries()) {
        const prompt = density(arrival, time - arrival.directNs, norm)
        densities[sensors[row]][i] += share * (PROMPT_SHARE * prompt + LATE_PER_NS)
      }
    }
    for (const times of densities) for (const value of times) sum += Math.log(value)
    return sum
  }
}

/** Of a bright sensor's times some are enough. */
function thin(times: readonly number[]): number[] {
  const step = Math.ceil(times.length / 60)
  return times.filter((_, i) => i % step === 0)
}

/** The most likely direction: the best of a grid by charges, refined by charges and times. */
function fitDirection(lineOf: (direction: Vector) => Line, seen: Seen, energyGev: number): Vector {
  const value = (direction: Vector) => seen.likelihood(lineOf(direction), energyGev)
  const [seed] = Array.from({ length: 100 }, (_, i) => spiral(i, 100))
    .map((direction) => ({ direction, value: seen.likelihoodOfCounts(lineOf(direction), energyGev) }))
    .toSorted((a, b) => b.value - a.value)
    .slice(0, 5)
    .map(({ direction }) => ({ direction, value: value(direction) }))
    .toSorted((a, b) => b.value - a.value)
  let best = seed.direction
  let most = seed.value
  for (let step = 0.16; step > 0.01; step *= 0.55) {
    for (let again = true; again; ) {
      again = false
      for (const next of around(best, step)) {
        const likelihood = value(next)
        if (likelihood <= most) continue
        most = likelihood
        best = next
        again = true
        break
      }
    }
  }
  return best
}

function spiral(i: number, count: number): Vector {
  const z = 1 - (2 * i + 1) / count
  const across = Math.sqrt(1 - z * z)
  return [across * Math.cos(i * 2.399963), across * Math.sin(i * 2.399963), z]
}

function around([x, y, z]: Vector, step: number): Vector[] {
  const h = Math.hypot(x, y) || 1e-9
  return [0, 1, 2, 3, 4, 5].map((k) => {
    const [u, v] = [step * Math.cos((k * Math.PI) / 3), step * Math.sin((k * Math.PI) / 3)]
    const moved = [x - (u * y) / h - (v * z * x) / h, y + (u * x) / h - (v * z * y) / h, z + v * h]
    return moved.map((part) => part / Math.hypot(...moved))
  })
}

/** Errors of the fit, radians, of contained showers whose place, time and energy it is told. */
function fitErrors(energyGev: number, events: number, seed: number): number[] {
  const random = new Random()
  const errors = Array.from({ length: events }, (_, event) => {
    random.restart(seed, event)
    const radius = 350 * Math.sqrt(random.uniform())
    const angle = 2 * Math.PI * random.uniform()
    const place = [radius * Math.cos(angle), radius * Math.sin(angle), 800 * random.uniform() - 400]
    const direction = spiral(random.uniform() * 1e6, 1e6)
    const seen = new Seen(lineAt(place, direction), energyGev, random)
    const fitted = fitDirection((way) => lineAt(place, way), seen, energyGev)
    return Math.acos(
      Math.min(
        1,
        fitted.reduce((sum, part, i) => sum + part * direction[i], 0),
      ),
    )
  })
  return errors.sort((a, b) => a - b)
}

describe('the direction of a shower', () => {
  const place = [50, 20, -250]
  const meanDelays = (direction: Vector) => {
    const light = expectLight(lineAt(place, direction), 1e4)
    return Array.from({ length: light.rows }, (_, row) => {
      const { directNs, shape, rate } = light.arrivals[row]
      return { sensor: light.sensors[row], mean: light.means[row], time: directNs + shape / rate }
    })
  }

  it('shows in the times of its light: sensors that it flies away from see less light, and later', () => {
    const down = new Map(meanDelays([0, 0, -1]).map((row) => [row.sensor, row]))
    const up = new Map(meanDelays([0, 0, 1]).map((row) => [row.sensor, row]))
    const both = [...down.keys()].filter((sensor) => up.has(sensor))
    expect(both.length).toBeGreaterThan(100)
    const unchanged = both.filter((sensor) => down.get(sensor)?.time === up.get(sensor)?.time)
    expect(unchanged).toEqual([])
    const pairs = both.flatMap((sensor) => {
      const [toward, away] = [down.get(sensor), up.get(sensor)]
      return toward && away && toward.mean > 1 && toward.mean > 1.8 * away.mean ? [{ toward, away }] : []
    })
    expect(pairs.length).toBeGreaterThan(3)
    const later = pairs.reduce((sum, { toward, away }) => sum + away.time - toward.time, 0) / pairs.length
    expect(later).toBeGreaterThan(30)
  })

  it.each([
    { energyTev: 10, events: 24, medianDeg: 10 },
    { energyTev: 100, events: 12, medianDeg: 5 },
  ])(
    'is found by likelihood to a median of $medianDeg° at $energyTev TeV where place and energy are known',
    ({ energyTev, events, medianDeg }) => {
      const errors = fitErrors(energyTev * 1e3, events, 7)
      expect((errors[events >> 1] * 180) / Math.PI).toBeLessThan(medianDeg)
    },
    120_000,
  )
})
