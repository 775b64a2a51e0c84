import { describe, expect, it } from 'vitest'
import { Launches } from './coincidence.ts'
import { Photons } from './photons.ts'
import { PulseColumns } from './pulse-columns.ts'
import { Random } from './random.ts'
import { quantiseCharge, Readout } from './readout.ts'
import { Trigger } from './trigger.ts'

/** Eight neighbours that trigger at 0 to 70 ns. */
const CORE: [number, number, number][] = Array.from({ length: 8 }, (_, i) => [600 + i, i * 10, 1.01])

const DETAILS = {
  energyGev: 100,
  x: 1,
  y: 2,
  z: 3,
  inelasticity: 0.5,
  muonGev: 0,
  visibleMuons: 0,
  isMuonTriggered: false,
}

type Hit = [sensor: number, timeNs: number, charge: number]

/** The event of photo-electrons `[sensor, ns, charge]` beside the core's, as it waits to be read out. */
function trigger(...hits: Hit[]) {
  const photons = new Photons()
  for (const hit of [...CORE, ...hits]) photons.add(...hit)
  photons.sort()
  const launches = new Launches()
  launches.record(photons)
  const trigger = new Trigger()
  expect(trigger.decide(launches)).toBe(true)
  return { photons, launches, trigger }
}

function read(...hits: Hit[]) {
  const random = new Random()
  random.restart(1, 1)
  const pulses = new PulseColumns(1)
  new Readout().read(trigger(...hits), random, pulses)
  pulses.endEvent(0, { azimuth: 0, zenith: 0, topology: 'cascade' }, DETAILS)
  return pulses.toBatch()
}

/** A sensor's pulses of such an event: `[ns after the core's first, charge, auxiliary]`. */
function pulsesOf(sensor: number, ...hits: Hit[]) {
  const batch = read(...hits)
  const core = batch.times[batch.sensorIds.indexOf(600)]
  return Array.from(batch.sensorIds.keys())
    .filter((row) => batch.sensorIds[row] === sensor)
    .map((row) => [batch.times[row] - core, Number(batch.charges[row].toFixed(3)), batch.auxiliary[row]])
}

describe('quantiseCharge()', () => {
  it.each([
    [0.01, 0.025],
    [0.05, 0.075],
    [1.0, 1.025],
    [1.049, 1.025],
    [2762, 2762.025],
  ])('puts %d on the grid at %d', (charge, expected) => {
    expect(quantiseCharge(charge + 1e-9)).toBeCloseTo(expected, 9)
  })
})

describe('Readout', () => {
  it('puts the trigger at 10,000 ns, the first pulse a transit time before', () => {
    const first = read().times[0]
    expect(first).toBeGreaterThanOrEqual(10_000 - 145)
    expect(first).toBeLessThanOrEqual(10_000 - 109)
  })

  it('times are whole ns in order, charges on the grid', () => {
    const { times, charges } = read([3000, -3000.4, 1.23], [4000, 500.7, 0.44], [600, 12.3, 7.9])
    for (let i = 0; i < times.length; i++) {
      expect(Number.isInteger(times[i])).toBe(true)
      if (i > 0) expect(times[i]).toBeGreaterThanOrEqual(times[i - 1])
      const code = (charges[i] - 0.025) / 0.05
      expect(Math.abs(code - Math.round(code))).toBeLessThan(1e-4)
    }
  })

  it('reads from 4 µs before the first to 6 µs after the last launch of the trigger', () => {
    expect(pulsesOf(3000, [3000, -4001, 1])).toEqual([])
    expect(pulsesOf(3000, [3000, -3999, 1])).toHaveLength(1)
    expect(pulsesOf(3000, [3000, 6069, 1])).toHaveLength(1)
    expect(pulsesOf(3000, [3000, 6071, 1])).toEqual([])
  })

  it('a soft launch keeps 75 ns and is auxiliary', () => {
    expect(pulsesOf(3000, [3000, 1000, 1.01], [3000, 1050, 1.01], [3000, 1080, 1.01])).toEqual([
      [1000, 0.925, 1],
      [1050, 0.925, 1],
    ])
  })

  it('a hard launch keeps 6.4 µs and is not auxiliary', () => {
    expect(pulsesOf(600, [600, 6399, 1.01], [600, 6401, 1.01])).toEqual([
      [0, 1.025, 0],
      [6399, 1.025, 0],
    ])
  })

  it('photo-electrons close together are one pulse: some 2 ns at first, 40 ns in the coarse record', () => {
    expect(pulsesOf(600, [600, 2, 1.01], [600, 13, 1.01])).toEqual([
      [0, 2.025, 0],
      [13, 1.025, 0],
    ])
    expect(pulsesOf(600, [600, 1000, 1.01], [600, 1032, 1.01], [600, 1041, 1.01])).toEqual([
      [0, 1.025, 0],
      [1000, 2.025, 0],
      [1041, 1.025, 0],
    ])
  })

  it('six in a hundred events keep the clock of a longer readout', () => {
    const event = trigger()
    const readout = new Readout()
    const random = new Random()
    const pulses = new PulseColumns(1)
    const delays = Array.from({ length: 2000 }, (_, i) => {
      random.restart(1, i)
      const first = pulses.pulseCount
      readout.read(event, random, pulses)
      return pulses.times[first] - 10_000
    })
    const late = delays.filter((delay) => delay > 0)
    expect(late.length / delays.length).toBeGreaterThan(0.04)
    expect(late.length / delays.length).toBeLessThan(0.08)
    expect(late.reduce((sum, delay) => sum + delay, 0) / late.length).toBeGreaterThan(5000)
    expect(Math.max(...late)).toBeLessThan(120_000)
  })
})
