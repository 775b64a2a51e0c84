import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { encodeEventBatch } from '../../src/event/wire.ts'
import { type LocalModel, openLocalModel } from '../../src/inference/network/local.ts'
import { datatypeOf, elementCount } from '../../src/inference/tensors/tensor.ts'
import { createRandom } from '../support/faulty-inferrer.ts'
import { makeEvents } from '../support/plain-events.ts'
import { startServer, type TestServer } from '../support/start-server.ts'

/** Each request is asked for with this many others at the same time. */
const TOGETHER = 8
const REQUESTS = 6_400

interface Sample {
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: Buffer
}

const NUMBERS = [
  0,
  -1,
  1,
  2,
  0.5,
  1e308,
  -1e308,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2e9,
  16_384,
  16_385,
  5159,
  5160,
  65_536,
]
const VALUES = [
  null,
  true,
  false,
  '',
  'x',
  '-',
  '9223372036854775808',
  [],
  {},
  [[]],
  { a: 1 },
  ['a'],
  ...NUMBERS,
]
/** Longer than any test sample, shorter than a bomb: the limits on those have tests of their own. */
const REPEATS = [2, 3, 100, 20_000]

interface Target extends Sample {
  readonly server: TestServer
}

/** Changes that a hostile or broken client could make to a request, drawn by one seeded sequence. */
function createMutator(seed: number) {
  const random = createRandom(seed)
  const below = (most: number) => Math.floor(random() * most)
  const pick = <T>(values: readonly T[]): T => values[below(values.length)]

  const mutateBytes = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes)
    switch (below(5)) {
      case 0:
        return copy.subarray(0, below(copy.length + 1))
      case 1:
        return Buffer.concat([copy, Buffer.alloc(below(64), below(256))])
      case 2:
        return Buffer.concat([copy.subarray(0, below(copy.length)), copy.subarray(below(copy.length))])
      case 3:
        copy
          .subarray(below(copy.length))
          .subarray(0, 8)
          .fill(pick([0, 255, 0x7f, 0x80]))
        return copy
      default:
        for (let i = 0; i <= below(8); i++) copy[below(copy.length)] = below(256)
        return copy
    }
  }
  /** Replaces, removes, repeats or renames one value somewhere in a JSON value. */
  const mutateJson = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || random() < 0.1) return pick(VALUES)
    if (Array.isArray(value)) {
      if (value.length === 0 || random() < 0.1) return Array(pick(REPEATS)).fill(value[0] ?? pick(VALUES))
      const at = below(value.length)
      return random() < 0.2 ? value.toSpliced(at, 1) : value.with(at, mutateJson(value[at]))
    }
    const entries = Object.entries(value)
    if (entries.length === 0) return pick(VALUES)
    const at = below(entries.length)
    const [key, held] = entries[at]
    if (random() < 0.15) return Object.fromEntries(entries.toSpliced(at, 1))
    if (random() < 0.1)
      return Object.fromEntries([...entries, [pick(['__proto__', 'constructor', 'events', 'pulses']), held]])
    return Object.fromEntries(entries.with(at, [key, mutateJson(held)]))
  }
  const mutateHeaders = (headers: Record<string, string>): Record<string, string> => {
    const types = ['application/json', 'text/plain', 'application/vnd.apache.arrow.stream', 'a/b', '']
    const changes = [
      { 'content-type': pick(types) },
      { 'inference-header-content-length': pick(['0', '-1', '1e3', '10', '99999999', 'x']) },
      { 'content-encoding': 'gzip' },
    ]
    return random() < 0.1 ? { ...headers, ...pick(changes) } : headers
  }
  return (sample: Target): Target => {
    const isJson = sample.headers['content-type'] === 'application/json'
    let { body } = sample
    if (isJson && random() < 0.7) {
      let json: unknown = JSON.parse(body.toString())
      for (let i = 0; i <= below(3); i++) json = mutateJson(json)
      body = Buffer.from(JSON.stringify(json) ?? '')
    } else for (let i = 0; i <= below(3) && body.length > 0; i++) body = mutateBytes(body)
    return { ...sample, headers: mutateHeaders(sample.headers), body }
  }
}

/** A request for the network itself, with two events of two pulses. */
function networkSample({ model, graph }: LocalModel): Sample {
  const inputs = graph?.inputs.map(({ name, dtype, shape }) => {
    const sizes = shape.map((size) => (typeof size === 'number' ? size : 2))
    const data = Array(elementCount(sizes)).fill(dtype === 'bool' ? true : 1)
    return { name, datatype: datatypeOf(dtype), shape: sizes, data }
  })
  return {
    path: `/v2/models/${model.name}/infer`,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ inputs })),
  }
}

/** Requests for a model without a network of its own. */
function samplesOf(model: string): Sample[] {
  const json = { 'content-type': 'application/json' }
  const events = makeEvents(3, 7, { pulsesPerEvent: 4 })
  const columns = Array.from({ length: 3 }, (_, event) => {
    const rows = [events.offsets[event], events.offsets[event + 1]] as const
    return {
      event_id: event,
      pulses: {
        sensor_id: [...events.sensorIds.subarray(...rows)],
        time: [...events.times.subarray(...rows)],
        charge: [...events.charges.subarray(...rows)],
        auxiliary: [...events.auxiliary.subarray(...rows)],
      },
    }
  })
  const record = { pulses: [{ sensor_id: 1, time: 9_900, charge: 1, auxiliary: false }] }
  const raw = [
    { name: 'sensor_id', datatype: 'INT32', shape: [2], data: [1, 2] },
    { name: 'time', datatype: 'FP32', shape: [2], data: [10, 20] },
    { name: 'charge', datatype: 'FP32', shape: [2], data: [1, 2] },
    { name: 'auxiliary', datatype: 'BOOL', shape: [2], data: [false, true] },
    { name: 'lengths', datatype: 'INT64', shape: [2], data: [1, 1] },
  ]
  const header = Buffer.from(
    JSON.stringify({
      inputs: raw.map(({ data: _, ...rest }, i) => ({
        ...rest,
        parameters: { binary_data_size: [8, 8, 8, 2, 16][i] },
      })),
      outputs: [{ name: 'azimuth', parameters: { binary_data: true } }],
    }),
  )
  const columnsOf = [
    Int32Array.of(1, 2),
    Float32Array.of(10, 20),
    Float32Array.of(1, 2),
    Uint8Array.of(0, 1),
    BigInt64Array.of(1n, 1n),
  ]
  const path = `/v2/models/${model}/infer`
  return [
    { path: '/predict', headers: json, body: Buffer.from(JSON.stringify({ events: columns })) },
    { path: '/predict', headers: json, body: Buffer.from(JSON.stringify(record)) },
    {
      path: '/predict',
      headers: { 'content-type': 'application/vnd.apache.arrow.stream' },
      body: Buffer.from(encodeEventBatch(events)),
    },
    {
      path,
      headers: json,
      body: Buffer.from(JSON.stringify({ id: 'a', inputs: raw, outputs: [{ name: 'azimuth' }] })),
    },
    {
      path,
      headers: json,
      body: Buffer.from(JSON.stringify({ inputs: raw, parameters: { binary_data_output: true } })),
    },
    {
      path,
      headers: {
        'content-type': 'application/octet-stream',
        'inference-header-content-length': String(header.length),
      },
      body: Buffer.concat([header, ...columnsOf.map(({ buffer }) => Buffer.from(buffer))]),
    },
  ]
}

async function ask({ server, path, headers, body }: Target): Promise<number> {
  const response = await fetch(server.url + path, { method: 'POST', headers, body })
  await response.arrayBuffer()
  return response.status
}

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Bytes in use after a collection, which the growth of a leak would show in. */
function usedBytes(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

it(`answers ${REQUESTS} damaged requests in time, none of them with a fault of its own, and stays as it was`, {
  timeout: 180_000,
}, async (test) => {
  await using model = await openLocalModel('linefit', { threads: 1, queue: { deadlineMs: 20_000 } })
  await using network = await openLocalModel('models/linefit-onnx', {
    threads: 1,
    queue: { deadlineMs: 20_000 },
  })
  const server = await startServer(test, { model })
  const networkServer = await startServer(test, { model: network })
  const samples = samplesOf(model.model.name).map((sample) => ({ ...sample, server }))
  samples.push({ ...networkSample(network), server: networkServer })
  for (const sample of samples) expect(await ask(sample)).toBe(200)
  const mutate = createMutator(20_261_130)
  const statuses = new Map<number, number>()
  let mostMicros = 0
  let warmBytes = 0
  for (let done = 0; done < REQUESTS; done += TOGETHER) {
    const round = Array.from({ length: TOGETHER }, (_, i) => mutate(samples[(done + i) % samples.length]))
    const before = process.cpuUsage()
    const answered = await Promise.all(round.map((each) => ask(each)))
    // Processor time of the client, the server and the model: other programs on the machine do not count.
    mostMicros = Math.max(mostMicros, process.cpuUsage(before).user)
    for (const [i, status] of answered.entries()) {
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      const isFault = status >= 500 && status !== 503
      if (isFault)
        expect.fail(
          `${status} for ${JSON.stringify({ ...round[i], body: round[i].body.toString('latin1') })}`,
        )
    }
    if (done === REQUESTS / 4) warmBytes = usedBytes()
  }
  // Most are refused; those whose damage does not matter are answered.
  expect(statuses.get(400)).toBeGreaterThan(REQUESTS / 4)
  expect(statuses.get(200)).toBeGreaterThan(REQUESTS / 20)
  expect(mostMicros).toBeLessThan(2_000_000)
  expect(warmBytes).toBeGreaterThan(0)
  expect(usedBytes() - warmBytes).toBeLessThan(32_000_000)
  for (const sample of samples) expect(await ask(sample)).toBe(200)
  expect(await (await fetch(`${server.url}/metrics`)).text()).toMatch(/^nustream_server_bodies_bytes 0$/m)
})
