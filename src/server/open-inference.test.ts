import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { fakeModel } from '../../test/support/fake-model.ts'
import { fakeNetwork } from '../../test/support/fake-network.ts'
import { buildServer } from './server.ts'
import type { ServedModel } from './serving.ts'

const build = (model: ServedModel, tokens: readonly string[] = []) =>
  buildServer({ model, tokens, registry: new Registry(), log: pino({ level: 'silent' }), version: '1.2.3' })

const inputs = [
  {
    name: 'pulses',
    datatype: 'FP32',
    shape: [2, 2, 2],
    data: [
      [
        [1, 2],
        [3, 4],
      ],
      [
        [5, 6],
        [7, 8],
      ],
    ],
  },
  { name: 'mask', datatype: 'BOOL', shape: [2, 2], data: [true, true, true, false] },
  { name: 'weight', datatype: 'INT64', shape: [2], data: [1, 10] },
]

function infer(body: unknown, headers: Record<string, string> = {}) {
  return build(fakeNetwork().model).inject({
    method: 'POST',
    url: '/v2/models/fake/infer',
    headers: { 'content-type': 'application/json', ...headers },
    payload: Buffer.isBuffer(body) ? body : JSON.stringify(body),
  })
}

describe('the Open Inference Protocol', () => {
  it('names server, model, its tensors and readiness', async () => {
    const app = build(fakeNetwork().model)
    const get = async (url: string) => (await app.inject({ url })).json()
    expect(await get('/v2')).toMatchObject({ name: 'nustream', version: '1.2.3' })
    expect(await get('/v2/health/live')).toEqual({ live: true })
    expect(await get('/v2/health/ready')).toEqual({ ready: true })
    expect(await get('/v2/models/fake/ready')).toEqual({ name: 'fake', ready: true })
    const metadata = {
      name: 'fake',
      versions: ['7'],
      platform: 'onnx_onnxv1',
      inputs: [
        { name: 'pulses', datatype: 'FP32', shape: [-1, -1, 2] },
        { name: 'mask', datatype: 'BOOL', shape: [-1, -1] },
        { name: 'weight', datatype: 'INT64', shape: [-1] },
      ],
      outputs: [
        { name: 'sum', datatype: 'FP32', shape: [-1] },
        { name: 'count', datatype: 'INT64', shape: [-1] },
        { name: 'any', datatype: 'BOOL', shape: [-1] },
      ],
    }
    expect(await get('/v2/models/fake')).toEqual(metadata)
    expect(await get('/v2/models/fake/versions/7')).toEqual(metadata)
    const index = await app.inject({ method: 'POST', url: '/v2/repository/index' })
    expect(index.json()).toEqual([{ name: 'fake', version: '7', state: 'READY', reason: '' }])
  })

  it('says 404 with a text for a model or version that is not there', async () => {
    const app = build(fakeNetwork().model)
    for (const url of ['/v2/models/other', '/v2/models/fake/versions/8', '/v2/models/fake/nothing']) {
      const response = await app.inject({ url })
      expect(response.statusCode).toBe(404)
      expect(response.json().error).toEqual(expect.any(String))
    }
  })

  it('is not ready while the model is not', async () => {
    const model = fakeModel({
      ready: () => Promise.reject(new Error('worker 0 is loading')),
    })
    const app = build(model)
    expect((await app.inject({ url: '/v2/health/ready' })).statusCode).toBe(503)
    expect((await app.inject({ url: '/v2/models/fake/ready' })).statusCode).toBe(503)
    expect((await app.inject({ url: '/v2/health/live' })).statusCode).toBe(200)
  })

  it('answers all outputs as JSON', async () => {
    const response = await infer({ id: 'a1', inputs })
    expect(response.statusCode).toBe(200)
    expect(response.json()).toEqual({
      model_name: 'fake',
      model_version: '7',
      id: 'a1',
      outputs: [
        { name: 'sum', datatype: 'FP32', shape: [2], data: [10, 110] },
        { name: 'count', datatype: 'INT64', shape: [2], data: [2, 1] },
        { name: 'any', datatype: 'BOOL', shape: [2], data: [true, true] },
      ],
    })
  })

  it('answers only the outputs asked for, in the order asked, and asks the model for no others', async () => {
    const { model, calls } = fakeNetwork()
    const response = await build(model).inject({
      method: 'POST',
      url: '/v2/models/fake/versions/7/infer',
      payload: { inputs, outputs: [{ name: 'any' }, { name: 'sum' }] },
    })
    expect(response.json().outputs.map((output: { name: string }) => output.name)).toEqual(['any', 'sum'])
    expect(calls).toEqual([{ rows: 2, outputs: ['any', 'sum'] }])
  })

  it('takes and gives binary tensors, mixed with JSON ones', async () => {
    const json = Buffer.from(
      JSON.stringify({
        inputs: [
          { ...inputs[0], data: undefined, parameters: { binary_data_size: 32 } },
          inputs[1],
          { ...inputs[2], data: undefined, parameters: { binary_data_size: 16 } },
        ],
        outputs: [
          { name: 'count', parameters: { binary_data: true } },
          { name: 'sum', parameters: { binary_data: false } },
        ],
      }),
    )
    const bytes = Buffer.concat([
      json,
      Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer),
      Buffer.from(BigInt64Array.of(1n, 10n).buffer),
    ])
    const headers = {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
    }
    const response = await infer(bytes, headers)
    expect(response.statusCode).toBe(200)
    const headerLength = Number(response.headers['inference-header-content-length'])
    expect(JSON.parse(response.rawPayload.toString('utf8', 0, headerLength)).outputs).toEqual([
      { name: 'count', datatype: 'INT64', shape: [2], parameters: { binary_data_size: 16 } },
      { name: 'sum', datatype: 'FP32', shape: [2], data: [10, 110] },
    ])
    const tail = Uint8Array.from(response.rawPayload.subarray(headerLength))
    expect([...new BigInt64Array(tail.buffer)]).toEqual([2n, 1n])
  })

  const [pulses, mask, weight] = inputs
  const bad = [
    { name: 'no inputs', body: {}, says: 'inputs is missing' },
    {
      name: 'an unknown input',
      body: { inputs: [{ ...pulses, name: 'x' }] },
      says: `unknown input the string "x"; the model has 'pulses', 'mask', 'weight'`,
    },
    { name: 'a missing input', body: { inputs: [pulses, mask] }, says: "input 'weight' is missing" },
    {
      name: 'an output twice',
      body: { inputs, outputs: [{ name: 'sum' }, { name: 'any' }, { name: 'sum' }] },
      says: "output 'sum' is asked for twice",
    },
    { name: 'an input twice', body: { inputs: [pulses, pulses] }, says: "input 'pulses' is given twice" },
    {
      name: 'another datatype',
      body: { inputs: [{ ...pulses, datatype: 'FP64' }] },
      says: `has datatype the string "FP64"; the model takes FP32`,
    },
    {
      name: 'another rank',
      body: { inputs: [{ ...pulses, shape: [4, 2] }] },
      says: 'has 2 dimensions; the model takes [events, pulses, 2]',
    },
    {
      name: 'another fixed dimension',
      body: { inputs: [{ ...pulses, shape: [1, 1, 3], data: [1, 2, 3] }] },
      says: 'has shape[2] 3',
    },
    {
      name: 'a negative dimension',
      body: { inputs: [{ ...pulses, shape: [-1, 2, 2] }] },
      says: 'has shape[0] -1',
    },
    ...[1, 2].map((axis) => ({
      name: `an empty axis ${axis}`,
      body: { inputs: [{ ...pulses, shape: [1_000_000_000, 1, 2].with(axis, 0), data: [] }] },
      says: `has shape[${axis}] 0; it must be an integer from 1`,
    })),
    {
      name: 'a shape beyond all memory',
      body: { inputs: [{ ...pulses, shape: [1e9, 1e9, 2] }] },
      says: 'more than 2147483648 elements',
    },
    {
      name: 'dimensions that disagree',
      body: { inputs: [pulses, { ...mask, shape: [1, 2], data: [true, true] }] },
      says: "has 1 along 'events'; input 'pulses' has 2",
    },
    {
      name: 'too few values',
      body: { inputs: [{ ...pulses, data: [1, 2] }] },
      says: 'has 2 values; its shape [2, 2, 2] holds 8',
    },
    {
      name: 'a string for a number',
      body: { inputs: [{ ...pulses, data: [1, 2, 3, 4, 5, '6', 7, 8] }] },
      says: 'data[5] is the string "6", which is no float32',
    },
    {
      name: 'null',
      body: { inputs: [{ ...pulses, data: [null, 2, 3, 4, 5, 6, 7, 8] }] },
      says: 'data[0] is null',
    },
    {
      name: 'half an integer',
      body: { inputs: [pulses, mask, { ...weight, data: [1, 1.5] }] },
      says: 'data[1] is 1.5, which is no int64',
    },
    { name: 'no data', body: { inputs: [{ ...pulses, data: undefined }] }, says: 'has no data' },
    {
      name: 'an unknown output',
      body: { inputs, outputs: [{ name: 'x' }] },
      says: 'unknown output the string "x"',
    },
    {
      name: 'a classification',
      body: { inputs, outputs: [{ name: 'sum', parameters: { classification: 1 } }] },
      says: 'classification',
    },
    {
      name: 'a wrong binary size',
      body: { inputs: [{ ...pulses, parameters: { binary_data_size: 31 } }] },
      says: 'has binary_data_size 31; FP32 of shape [2, 2, 2] takes 32 bytes',
    },
    {
      name: 'missing bytes',
      body: { inputs: [{ ...pulses, parameters: { binary_data_size: 32 } }] },
      says: 'needs 32 bytes after the JSON; 0 are left',
    },
    { name: 'an id that is no string', body: { id: 3, inputs }, says: 'id is 3' },
  ]
  it.each(bad)('refuses $name with a text', async ({ body, says }) => {
    const response = await infer(body)
    expect(response.statusCode).toBe(400)
    expect(response.json().error).toContain(says)
  })

  const absent = { id: null, parameters: null, outputs: null }
  it.each([
    { what: 'id', body: { id: null } },
    { what: 'parameters', body: { parameters: null } },
    { what: 'outputs', body: { outputs: null } },
    { what: 'all of them', body: absent },
    { what: 'parameters of an output', body: { outputs: [{ name: 'sum', parameters: null }] } },
    {
      what: 'every parameter of an output',
      body: { outputs: [{ name: 'sum', parameters: { binary_data: null, classification: null } }] },
    },
    {
      what: 'parameters of an input',
      body: { inputs: inputs.map((each) => ({ ...each, parameters: null })) },
    },
    {
      what: 'every parameter of an input',
      body: { inputs: inputs.map((each) => ({ ...each, parameters: { binary_data_size: null } })) },
    },
    { what: 'parameters of the request', body: { parameters: { binary_data_output: null } } },
  ])('takes null in $what for absent', async ({ body }) => {
    const response = await infer({ inputs, ...body })
    expect(response.statusCode).toBe(200)
    expect(response.json()).not.toHaveProperty('id')
    expect(response.json().outputs[0]).toMatchObject({ name: 'sum', data: [10, 110] })
  })

  it.each([
    { rows: 2, status: 200 },
    { rows: 3, status: 413 },
  ])('answers $rows rows with $status where one request may hold 2 events', async ({ rows, status }) => {
    const app = buildServer({
      model: fakeNetwork().model,
      registry: new Registry(),
      log: pino({ level: 'silent' }),
      limits: { requestEventsMax: 2 },
    })
    const given = [
      { name: 'pulses', datatype: 'FP32', shape: [rows, 1, 2], data: Array(2 * rows).fill(1) },
      { name: 'mask', datatype: 'BOOL', shape: [rows, 1], data: Array(rows).fill(true) },
      { name: 'weight', datatype: 'INT64', shape: [rows], data: Array(rows).fill(1) },
    ]
    const response = await app.inject({
      method: 'POST',
      url: '/v2/models/fake/infer',
      payload: { inputs: given },
    })
    expect(response.statusCode).toBe(status)
  })

  it('bounds the events of raw pulses before it makes anything of them', async () => {
    const lengths = { name: 'lengths', datatype: 'INT64', shape: [16_385], data: Array(16_385).fill(0) }
    const empty = ['sensor_id', 'time', 'charge'].map((name, i) => ({
      name,
      datatype: i === 0 ? 'INT32' : 'FP32',
      shape: [0],
      data: [],
    }))
    const given = [...empty, { name: 'auxiliary', datatype: 'BOOL', shape: [0], data: [] }, lengths]
    const response = await build(fakeModel()).inject({
      method: 'POST',
      url: '/v2/models/fake/infer',
      payload: { inputs: given },
    })
    expect(response.statusCode).toBe(413)
    expect(response.json().error).toContain('16385 events and one request may hold 16384')
  })

  it('refuses the media types that a page of another site may send, and a page without one', async () => {
    const app = build(fakeNetwork().model)
    const ask = (headers: Record<string, string>) =>
      app.inject({
        method: 'POST',
        url: '/v2/models/fake/infer',
        headers,
        payload: Buffer.from(JSON.stringify({ inputs })),
      })
    for (const type of [
      'text/plain',
      'Text/Plain;charset=UTF-8',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=a',
    ]) {
      const response = await ask({ 'content-type': type })
      expect(response.statusCode).toBe(415)
      expect(response.json().error).toContain('the Content-Type must be application/json')
    }
    expect((await ask({ origin: 'http://localhost' })).statusCode).toBe(415)
    expect((await ask({})).statusCode).toBe(200)
    for (const type of ['application/json', 'application/octet-stream', 'application/vnd.kserve+json'])
      expect((await ask({ 'content-type': type })).statusCode).toBe(200)
  })

  it('refuses a header length beyond the body, and bytes that no input takes', async () => {
    const beyond = await infer(Buffer.from('{}'), { 'inference-header-content-length': '3' })
    expect(beyond.json().error).toContain(
      'Inference-Header-Content-Length is the string "3"; the body has 2 bytes',
    )
    const json = Buffer.from(JSON.stringify({ inputs }))
    const extra = await infer(Buffer.concat([json, Buffer.alloc(5)]), {
      'inference-header-content-length': String(json.length),
    })
    expect(extra.json().error).toContain('5 bytes follow the JSON')
  })

  it('gives a model without a network raw pulses as tensors', async () => {
    const app = build(fakeModel())
    const given = [
      { name: 'sensor_id', datatype: 'INT32', shape: [3], data: [1, 2, 3] },
      { name: 'time', datatype: 'FP32', shape: [3], data: [10, 20, 30] },
      { name: 'charge', datatype: 'FP32', shape: [3], data: [1, 2, 6] },
      { name: 'auxiliary', datatype: 'BOOL', shape: [3], data: [false, true, true] },
      { name: 'lengths', datatype: 'INT64', shape: [2], data: [1, 2] },
    ]
    const ask = async (tensors: object[]) =>
      (
        await app.inject({ method: 'POST', url: '/v2/models/fake/infer', payload: { inputs: tensors } })
      ).json()
    expect((await ask(given)).outputs).toEqual([
      { name: 'azimuth', datatype: 'FP64', shape: [2], data: [0.001, 0.004] },
      { name: 'zenith', datatype: 'FP64', shape: [2], data: [0.001, 0.002] },
      { name: 'kappa', datatype: 'FP64', shape: [2], data: [10, 20] },
      { name: 'degenerate', datatype: 'BOOL', shape: [2], data: [false, false] },
    ])
    const lengths = (data: number[]) => [...given.slice(0, 4), { ...given[4], data }]
    expect((await ask(lengths([1, 1]))).error).toContain('lengths sum to 2; the other inputs hold 3 pulses')
    expect((await ask(lengths([-1, 4]))).error).toContain('lengths[0] is -1')
    expect((await ask(lengths([0, 3]))).error).toContain('the event at lengths[0] is bad')
    expect((await ask([{ ...given[0], data: [1, 2, 5160] }, ...given.slice(1)])).error).toContain(
      'sensor id 5160',
    )
  })

  it('wants the token for everything but health', async () => {
    const app = build(fakeNetwork().model, ['secret'])
    const status = async (url: string, authorization?: string) =>
      (await app.inject({ url, headers: authorization ? { authorization } : {} })).statusCode
    expect(await status('/v2/models/fake')).toBe(401)
    expect(await status('/v2/models/fake', 'Bearer secrets')).toBe(401)
    expect(await status('/v2/models/fake', 'Bearer secret')).toBe(200)
    expect(await status('/v2/health/ready')).toBe(200)
  })
})
