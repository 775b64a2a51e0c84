import { describe, expect, it } from 'vitest'
import { type Rgb, scaleColour, toCss, toOklab } from './colour.ts'

const STEPS = 64
const scale = Array.from({ length: STEPS }, (_, i) => scaleColour(i / (STEPS - 1)))

/** Simulation of the strongest forms of colour blindness, in linear light. Source: Machado, Oliveira & Fernandes 2009. */
const BLINDNESS = {
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
}

function seenWith(matrix: readonly number[], colour: Rgb): Rgb {
  const linear = colour.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  const [red, green, blue] = [0, 3, 6].map((row) => {
    const light = linear.reduce((sum, value, i) => sum + matrix[row + i] * value, 0)
    const clipped = Math.min(1, Math.max(0, light))
    return clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055
  })
  return [red, green, blue]
}

function distances(colours: readonly Rgb[]): number[] {
  const labs = colours.map(toOklab)
  return labs.slice(1).map((lab, i) => Math.hypot(...lab.map((value, axis) => value - labs[i][axis])))
}

describe('scaleColour()', () => {
  it('has perceptually equal steps', () => {
    const steps = distances(scale)
    const mean = steps.reduce((sum, step) => sum + step, 0) / steps.length
    for (const step of steps) expect(Math.abs(step / mean - 1)).toBeLessThan(0.35)
  })

  it('darkens monotonically and stays lighter than the page', () => {
    const lightness = scale.map((colour) => toOklab(colour)[0])
    for (let i = 1; i < STEPS; i++) expect(lightness[i]).toBeLessThan(lightness[i - 1])
    expect(lightness[STEPS - 1]).toBeGreaterThan(0.48)
  })

  it.each(Object.entries(BLINDNESS))('keeps its order with %s', (_, matrix) => {
    const seen = scale.map((colour) => seenWith(matrix, colour))
    const lightness = seen.map((colour) => toOklab(colour)[0])
    for (let i = 4; i < STEPS; i++) expect(lightness[i]).toBeLessThan(lightness[i - 4])
    expect(lightness[0] - lightness[STEPS - 1]).toBeGreaterThan(0.3)
  })

  it('clamps at its ends, and treats NaN as early', () => {
    expect(scaleColour(-3)).toEqual(scaleColour(0))
    expect(scaleColour(7)).toEqual(scaleColour(1))
    expect(scaleColour(Number.NaN)).toEqual(scaleColour(0))
  })
})

describe('toCss()', () => {
  it('writes a CSS colour', () => {
    expect(toCss([1, 0.5, 0])).toBe('rgb(255 128 0)')
  })
})
