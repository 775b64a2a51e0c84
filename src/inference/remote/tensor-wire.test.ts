import { describe, expect, it } from 'vitest'
import type { NamedTensors } from '../tensors/tensor.ts'
import { decodeInferAnswer, encodeInferRequest } from './tensor-wire.ts'

const inputs: NamedTensors = {
  pulses: { dtype: 'float32', shape: [1, 2], data: new Float32Array([0.1, -3.5]) },
  mask: { dtype: 'bool', shape: [1, 2], data: new Uint8Array([1, 0]) },
  lengths: { dtype: 'int64', shape: [1], data: new BigInt64Array([2n]) },
}

function jsonOf(body: Uint8Array): unknown {
  return JSON.parse(Buffer.from(body).toString())
}

function answer(outputs: unknown, tail = new Uint8Array()) {
  const json = Buffer.from(JSON.stringify({ model_name: 'm', model_version: '7', outputs }))
  return { body: new Uint8Array(Buffer.concat([json, tail])), headerLength: json.length }
}

describe('encodeInferRequest()', () => {
  it('writes tensors as JSON that loses no digit', () => {
    const { body, headerLength } = encodeInferRequest(inputs, ['direction'], false)
    expect(headerLength).toBeUndefined()
    expect(jsonOf(body)).toEqual({
      inputs: [
        { name: 'pulses', datatype: 'FP32', shape: [1, 2], data: [Math.fround(0.1), -3.5] },
        { name: 'mask', datatype: 'BOOL', shape: [1, 2], data: [true, false] },
        { name: 'lengths', datatype: 'INT64', shape: [1], data: [2] },
      ],
      outputs: [{ name: 'direction' }],
    })
  })

  it('writes tensors as bytes behind the JSON, and reads nothing of them later', () => {
    const pulses = new Float32Array([0.1, -3.5])
    const tensors = { ...inputs, pulses: { dtype: 'float32', shape: [1, 2], data: pulses } } as const
    const { body, headerLength = 0 } = encodeInferRequest(tensors, ['direction'], true)
    pulses.fill(0)
    expect(jsonOf(body.subarray(0, headerLength))).toEqual({
      inputs: [
        { name: 'pulses', datatype: 'FP32', shape: [1, 2], parameters: { binary_data_size: 8 } },
        { name: 'mask', datatype: 'BOOL', shape: [1, 2], parameters: { binary_data_size: 2 } },
        { name: 'lengths', datatype: 'INT64', shape: [1], parameters: { binary_data_size: 8 } },
      ],
      outputs: [{ name: 'direction', parameters: { binary_data: true } }],
    })
    const bytes = new Uint8Array(body.subarray(headerLength))
    expect(bytes.length).toBe(18)
    expect([...new Float32Array(bytes.buffer, 0, 2)]).toEqual([Math.fround(0.1), -3.5])
    expect([...bytes.subarray(8)]).toEqual([1, 0, 2, 0, 0, 0, 0, 0, 0, 0])
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %s in JSON', (value) => {
    const wrong = { x: { dtype: 'float32', shape: [1], data: new Float32Array([value]) } } as const
    expect(() => encodeInferRequest(wrong, [], false)).toThrow(
      expect.objectContaining({ code: 'model_failed' }),
    )
    expect(() => encodeInferRequest(wrong, [], true)).not.toThrow()
  })
})

describe('decodeInferAnswer()', () => {
  it('reads JSON, nested or flat, and bytes, in one answer', () => {
    const direction = {
      name: 'direction',
      datatype: 'FP64',
      shape: [2, 2],
      data: [
        [1, null],
        [3, 4],
      ],
    }
    const flag = { name: 'flag', datatype: 'BOOL', shape: [2], data: [true, false] }
    const kappa = { name: 'kappa', datatype: 'FP32', shape: [1], parameters: { binary_data_size: 4 } }
    const count = { name: 'count', datatype: 'INT64', shape: [1], data: [9] }
    const bytes = new Uint8Array(new Float32Array([2.5]).buffer)
    const { outputs, modelVersion } = decodeInferAnswer(answer([direction, flag, kappa, count], bytes))
    expect(modelVersion).toBe('7')
    expect([...outputs['direction'].data]).toEqual([1, Number.NaN, 3, 4])
    expect([...outputs['flag'].data]).toEqual([1, 0])
    expect([...outputs['kappa'].data]).toEqual([2.5])
    expect([...outputs['count'].data]).toEqual([9n])
  })

  const wrong: readonly { name: string; outputs: unknown; message: RegExp }[] = [
    { name: 'no outputs', outputs: undefined, message: /no list "outputs"/ },
    { name: 'an output without a name', outputs: [null], message: /no name/ },
    {
      name: 'text',
      outputs: [{ name: 'x', datatype: 'BYTES', shape: [1], data: ['a'] }],
      message: /datatype BYTES/,
    },
    { name: 'no shape', outputs: [{ name: 'x', datatype: 'FP32', data: [1] }], message: /no shape/ },
    {
      name: 'too few values',
      outputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1] }],
      message: /1 values/,
    },
    {
      name: 'bytes that are not there',
      outputs: [{ name: 'x', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } }],
      message: /0 bytes/,
    },
  ]
  it.each(wrong)('refuses $name', ({ outputs, message }) => {
    expect(() => decodeInferAnswer(answer(outputs))).toThrow(message)
  })

  it('refuses an invalid length of the JSON part', () => {
    expect(() => decodeInferAnswer({ body: new Uint8Array(3), headerLength: 4 })).toThrow('4 of 3 bytes')
    expect(() => decodeInferAnswer({ body: new Uint8Array(3), headerLength: Number.NaN })).toThrow(
      'NaN of 3 bytes',
    )
  })
})
