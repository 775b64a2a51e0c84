import { describe, expect, it } from 'vitest'
import { allocateDirections } from '../directions.ts'
import type { OutputSpec } from '../model/manifest.ts'
import { buildReadOutput } from './read-output.ts'
import type { NamedTensors, Tensor } from './tensor.ts'

const vector: Extract<OutputSpec, { meaning: 'vector' }> = {
  meaning: 'vector',
  tensor: 'out',
  axes: ['x', 'y', 'z'],
  points: 'source',
}

function read(spec: OutputSpec, tensors: Record<string, number[]>) {
  const outputs: NamedTensors = Object.fromEntries(
    Object.entries(tensors).map(([name, values]) => [
      name,
      { dtype: 'float32', shape: [values.length], data: Float32Array.from(values) },
    ]),
  )
  const answers = allocateDirections(2)
  buildReadOutput(spec)(outputs, Int32Array.of(1), answers)
  return {
    azimuth: answers.azimuth[1],
    zenith: answers.zenith[1],
    kappa: answers.kappa[1],
    degenerate: answers.degenerate[1],
    faults: answers.faults,
  }
}

const quarter = Math.PI / 2

describe('buildReadOutput()', () => {
  it.each([
    { name: 'a vector to the source', spec: vector, out: [0, 3, 0], azimuth: quarter, zenith: quarter },
    {
      name: 'a vector along the path',
      spec: { ...vector, points: 'travel' },
      out: [0, -3, 0],
      azimuth: quarter,
      zenith: quarter,
    },
    {
      name: 'axes in another order',
      spec: { ...vector, axes: ['y', 'x', 'z'] },
      out: [3, 0, 0],
      azimuth: quarter,
      zenith: quarter,
    },
    {
      name: 'a third order',
      spec: { ...vector, axes: ['z', 'x', 'y'] },
      out: [0, 0, 2],
      azimuth: quarter,
      zenith: quarter,
    },
    {
      name: 'azimuth and zenith',
      spec: {
        meaning: 'azimuth-zenith',
        tensors: ['out'],
        order: ['azimuth', 'zenith'],
        unit: 'rad',
        points: 'source',
      },
      out: [1.25, 0.5],
      azimuth: 1.25,
      zenith: 0.5,
    },
    {
      name: 'zenith and azimuth below 0, of the path',
      spec: {
        meaning: 'azimuth-zenith',
        tensors: ['out'],
        order: ['zenith', 'azimuth'],
        unit: 'rad',
        points: 'travel',
      },
      out: [0.5, -1],
      azimuth: Math.PI - 1,
      zenith: Math.PI - 0.5,
    },
  ] satisfies { name: string; spec: OutputSpec; out: number[]; azimuth: number; zenith: number }[])(
    'reads $name',
    ({ spec, out, azimuth, zenith }) => {
      const got = read(spec, { out })
      expect(got.azimuth).toBeCloseTo(azimuth, 6)
      expect(got.zenith).toBeCloseTo(zenith, 6)
      expect(got.kappa).toBeNaN()
      expect(got.faults).toEqual([])
    },
  )

  it('reads azimuth and zenith from two tensors', () => {
    const spec: OutputSpec = {
      meaning: 'azimuth-zenith',
      tensors: ['ze', 'az'],
      order: ['zenith', 'azimuth'],
      unit: 'rad',
      points: 'source',
    }
    expect(read(spec, { az: [2], ze: [1] }).azimuth).toBeCloseTo(2, 6)
  })

  it('reads the length of the vector as kappa', () => {
    const spec: OutputSpec = {
      meaning: 'vector-kappa',
      tensor: 'out',
      axes: ['y', 'x', 'z'],
      points: 'source',
    }
    expect(read(spec, { out: [3, 4, 12] }).kappa).toBeCloseTo(13, 6)
  })

  it('reads kappa from its own tensor, also where that holds the logarithm', () => {
    const kappa = { tensor: 'k' }
    expect(read({ ...vector, kappa }, { out: [1, 0, 0], k: [2] }).kappa).toBe(2)
    const logarithm = { tensor: 'k', transform: 'exp' } as const
    expect(read({ ...vector, kappa: logarithm }, { out: [1, 0, 0], k: [2] }).kappa).toBeCloseTo(
      Math.exp(2),
      6,
    )
  })

  it('keeps every column of an event with that event', () => {
    const spec: OutputSpec = { ...vector, kappa: { tensor: 'k' }, degenerate: { tensor: 'd' } }
    const tensor = (...values: number[]): Tensor => ({
      dtype: 'float32',
      shape: [values.length],
      data: Float32Array.from(values),
    })
    const outputs = { out: tensor(0, 0, 1, 0, 1, 0, 0, 0, -1), k: tensor(5, 6, 7), d: tensor(0, 1, 0) }
    const answers = allocateDirections(4)
    buildReadOutput(spec)(outputs, Int32Array.of(3, 0, 2), answers)
    expect([...answers.zenith]).toEqual([quarter, Number.NaN, Math.PI, 0])
    expect([...answers.kappa]).toEqual([6, Number.NaN, 7, 5])
    expect([...answers.degenerate]).toEqual([1, 0, 0, 0])
  })

  it('reads which events fix no direction', () => {
    const spec: OutputSpec = { ...vector, degenerate: { tensor: 'd' } }
    expect(read(spec, { out: [1, 0, 0], d: [1] }).degenerate).toBe(1)
    expect(read(spec, { out: [1, 0, 0], d: [0] }).degenerate).toBe(0)
  })

  it.each([
    { name: 'NaN', out: [Number.NaN, 0, 1], kappa: [1] },
    { name: 'infinity', out: [Number.POSITIVE_INFINITY, 0, 1], kappa: [1] },
    { name: 'a null vector', out: [0, 0, 0], kappa: [1] },
    { name: 'a NaN concentration', out: [1, 0, 0], kappa: [Number.NaN] },
    { name: 'a concentration below 0', out: [1, 0, 0], kappa: [-1] },
  ])('makes $name a fault of that event', ({ out, kappa }) => {
    const spec: OutputSpec = { ...vector, kappa: { tensor: 'k' } }
    const got = read(spec, { out, k: kappa })
    expect(got.faults).toMatchObject([{ index: 1, code: 'model_output_invalid' }])
    expect(got.azimuth).toBeNaN()
  })

  it('throws where the network gives another number of values', () => {
    expect(() => read({ ...vector }, { out: [1, 2, 3, 4] })).toThrow(/expected 3 values/)
  })
})
