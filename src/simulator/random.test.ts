import { describe, expect, it } from 'vitest'
import { Random } from './random.ts'

const DRAWS = 40_000

function open(index = 0, seed = 7): Random {
  const random = new Random()
  random.restart(seed, index)
  return random
}

function moments(draw: (random: Random) => number) {
  const random = open()
  const values = Float64Array.from({ length: DRAWS }, () => draw(random))
  const mean = values.reduce((sum, value) => sum + value, 0) / DRAWS
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / DRAWS
  return { mean, variance }
}

describe('Random', () => {
  it('gives a stream without drawing from the streams before it, and the same each time', () => {
    const walked = new Random()
    for (let index = 0; index <= 1000; index++) {
      walked.restart(7, index)
      walked.normal()
    }
    const direct = open(1000)
    direct.normal()
    expect(walked.uniform()).toBe(direct.uniform())
  })

  it('forgets the second half of a pair of normal draws when a stream begins', () => {
    const random = open(1)
    random.normal()
    random.restart(7, 2)
    expect(random.normal()).toBe(open(2).normal())
  })

  it('gives unrelated streams to neighbouring indices and seeds, also beyond 32 bits', () => {
    const firsts = [
      ...Array.from({ length: 2000 }, (_, index) => open(index).uniform()),
      ...Array.from({ length: 2000 }, (_, seed) => open(0, seed + 100).uniform()),
      open(2 ** 32).uniform(),
      open(2 ** 40).uniform(),
      open(0, 2 ** 32 + 7).uniform(),
    ]
    expect(new Set(firsts).size).toBe(firsts.length)
    const mean = firsts.reduce((sum, value) => sum + value, 0) / firsts.length
    expect(mean).toBeCloseTo(0.5, 1.5)
  })

  it('stays above 0 and below 1', () => {
    const random = open()
    for (let i = 0; i < DRAWS; i++) {
      const u = random.uniform()
      if (u <= 0 || u >= 1) expect.unreachable(`drew ${u}`)
    }
  })

  it.each([
    { name: 'uniform', draw: (r: Random) => r.uniform(), mean: 0.5, variance: 1 / 12 },
    { name: 'exponential', draw: (r: Random) => r.exponential(), mean: 1, variance: 1 },
    { name: 'normal', draw: (r: Random) => 1 + r.normal(), mean: 1, variance: 1 },
    { name: 'gamma of shape 0.2', draw: (r: Random) => r.gamma(0.2), mean: 0.2, variance: 0.2 },
    { name: 'gamma of shape 5', draw: (r: Random) => r.gamma(5), mean: 5, variance: 5 },
    { name: 'Poisson of mean 0.3', draw: (r: Random) => r.poisson(0.3), mean: 0.3, variance: 0.3 },
    { name: 'Poisson of mean 15', draw: (r: Random) => r.poisson(15), mean: 15, variance: 15 },
    { name: 'Poisson of mean 40', draw: (r: Random) => r.poisson(40), mean: 40, variance: 40 },
    { name: 'Poisson of mean 5000', draw: (r: Random) => r.poisson(5000), mean: 5000, variance: 5000 },
    { name: 'Poisson of mean 1e7', draw: (r: Random) => r.poisson(1e7), mean: 1e7, variance: 1e7 },
  ])('$name has its mean and variance', ({ draw, mean, variance }) => {
    const got = moments(draw)
    // Five standard errors of the mean; the variance of a variance is at most some 30 times larger for these shapes.
    expect(Math.abs(got.mean - mean)).toBeLessThan(5 * Math.sqrt(variance / DRAWS))
    expect(got.variance / variance).toBeGreaterThan(0.9)
    expect(got.variance / variance).toBeLessThan(1.1)
  })
})
