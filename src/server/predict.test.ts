import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { fakeModel, inferenceOf } from '../../test/support/fake-model.ts'
import { makeEvents } from '../../test/support/plain-events.ts'
import { UnavailableError } from '../errors.ts'
import { encodeEventBatch } from '../event/wire.ts'
import { decodeAnswer } from '../inference/remote/answer-wire.ts'
import { buildServer, type ServerOptions } from './server.ts'

function build(options: Partial<ServerOptions> = {}) {
  return buildServer({
    model: fakeModel(),
    registry: new Registry(),
    log: pino({ level: 'silent' }),
    ...options,
  })
}

function predict(body: unknown, options: Partial<ServerOptions> = {}) {
  return build(options).inject({
    method: 'POST',
    url: '/predict',
    headers: { 'content-type': 'application/json' },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

const pulse = { sensor_id: 17, time: 100.5, charge: 1.5, auxiliary: false }
const columns = { sensor_id: [17, 18], time: [100.5, 101], charge: [1.5, 2.5], auxiliary: [false, 1] }

describe('POST /predict', () => {
  it('answers one event with one direction', async () => {
    const response = await predict({ event_id: 41, pulses: [pulse] })
    expect(response.statusCode).toBe(200)
    expect(response.json()).toEqual({
      event_id: 41,
      azimuth: 0.0015,
      zenith: 0.001,
      kappa: 100.5,
      degenerate: false,
      model: 'fake',
      version: '7',
    })
  })

  it('takes pulses as columns as well as records', async () => {
    const records = columns.sensor_id.map((sensor_id, i) => ({
      sensor_id,
      time: columns.time[i],
      charge: columns.charge[i],
      auxiliary: columns.auxiliary[i],
    }))
    const [a, b] = await Promise.all([predict({ pulses: columns }), predict({ pulses: records })])
    expect(a.json()).toEqual(b.json())
    expect(a.json()).toMatchObject({ event_id: null, azimuth: 0.002, zenith: 0.002 })
  })

  it('answers many in request order, with an error in the place of each bad one', async () => {
    const response = await predict({
      events: [
        { event_id: '9007199254740993', pulses: columns },
        { event_id: 2, pulses: { ...columns, charge: [1, null] } },
        { event_id: 3, pulses: [{ ...pulse, time: -1 }] },
        { event_id: -4, pulses: [pulse] },
      ],
    })
    expect(response.statusCode).toBe(200)
    expect(response.json().predictions).toMatchObject([
      { event_id: '9007199254740993', zenith: 0.002 },
      {
        event_id: 2,
        error: {
          code: 'charge_not_finite',
          message: 'events[1].pulses.charge[1] is null; it must be a finite number of photo-electrons',
        },
      },
      { event_id: 3, error: { code: 'model_failed' } },
      { event_id: -4, zenith: 0.001 },
    ])
  })

  it('answers an empty list with an empty list', async () => {
    expect((await predict({ events: [] })).json()).toEqual({ predictions: [] })
  })

  const bad = [
    { name: 'no pulses', event: { pulses: [] }, code: 'event_without_pulses', says: 'pulses holds no pulse' },
    { name: 'pulses missing', event: { pulses: null }, code: 'source_value_invalid', says: 'pulses must be' },
    {
      name: 'a column missing',
      event: { pulses: { ...columns, time: undefined } },
      code: 'source_value_invalid',
      says: 'pulses.time must be a list',
    },
    {
      name: 'columns of unequal length',
      event: { pulses: { ...columns, time: [1] } },
      code: 'source_value_invalid',
      says: 'pulses.time has 1 values, sensor_id has 2',
    },
    {
      name: 'a sensor that is not there',
      event: { pulses: [{ ...pulse, sensor_id: 5160 }] },
      code: 'sensor_id_unknown',
      says: 'pulses[0].sensor_id is 5160',
    },
    {
      name: 'half a sensor',
      event: { pulses: [{ ...pulse, sensor_id: 1.5 }] },
      code: 'sensor_id_unknown',
      says: 'pulses[0].sensor_id is 1.5',
    },
    {
      name: 'a sensor as text',
      event: { pulses: [{ ...pulse, sensor_id: '17' }] },
      code: 'sensor_id_unknown',
      says: 'the string "17"',
    },
    {
      name: 'a time that float32 cannot hold',
      event: { pulses: [{ ...pulse, time: 1e39 }] },
      code: 'time_not_finite',
      says: 'pulses[0].time is 1e+39',
    },
    {
      name: 'a field missing',
      event: { pulses: [pulse, { ...pulse, time: undefined }] },
      code: 'time_not_finite',
      says: 'pulses[1].time is missing',
    },
    {
      name: 'a charge of 0',
      event: { pulses: [{ ...pulse, charge: 0 }] },
      code: 'charge_not_positive',
      says: 'pulses[0].charge is 0',
    },
    {
      name: 'auxiliary 2',
      event: { pulses: [{ ...pulse, auxiliary: 2 }] },
      code: 'auxiliary_not_boolean',
      says: 'pulses[0].auxiliary is 2',
    },
    {
      name: 'a pulse that is no object',
      event: { pulses: [pulse, 3] },
      code: 'source_value_invalid',
      says: 'pulses[1] must be an object',
    },
    {
      name: 'an id that lost digits',
      event: { event_id: 2 ** 53, pulses: [pulse] },
      code: 'source_value_invalid',
      says: 'event_id is 9007199254740992; it must be an integer',
    },
    {
      name: 'an id over int64',
      event: { event_id: '9223372036854775808', pulses: [pulse] },
      code: 'source_value_invalid',
      says: 'event_id is the string',
    },
  ] as const
  it.each(bad)('refuses an event with $name, alone and among neighbours', async ({ event, code, says }) => {
    const alone = await predict(event)
    expect(alone.statusCode).toBe(400)
    expect(alone.json().error.code).toBe(code)
    expect(alone.json().error.message).toContain(says)
    const among = await predict({ events: [{ pulses: [pulse] }, event, { pulses: columns }] })
    expect(among.statusCode).toBe(200)
    const { predictions } = among.json()
    expect(predictions[1].error.message).toContain(`events[1].${says.startsWith('the string') ? '' : says}`)
    expect([predictions[0].zenith, predictions[2].zenith]).toEqual([0.001, 0.002])
  })

  const unreadable = [
    { name: 'no JSON', body: '{"pulses": ', code: 'body_malformed' },
    { name: 'NaN, which JSON does not have', body: '{"pulses":[{"charge":NaN}]}', code: 'body_malformed' },
    { name: 'a list', body: [pulse], code: 'body_malformed' },
    { name: 'neither pulses nor events', body: { event: 1 }, code: 'body_malformed' },
    { name: 'events that is no list', body: { events: { a: 1 } }, code: 'body_malformed' },
    { name: 'an empty body', body: '', code: 'body_malformed' },
  ]
  it.each(unreadable)('refuses a body that is $name', async ({ body, code }) => {
    const response = await predict(body)
    expect(response.statusCode).toBe(400)
    expect(response.json().error.code).toBe(code)
  })

  it.each([
    { events: 3, status: 200 },
    { events: 4, status: 413 },
  ])('answers $events events with $status where one request may hold 3', async ({ events, status }) => {
    const limits = { requestEventsMax: 3 }
    const asJson = await predict({ events: Array(events).fill({ pulses: [pulse] }) }, { limits })
    expect(asJson.statusCode).toBe(status)
    if (status === 413) {
      const says = 'events holds 4 events and one request may hold 3'
      expect(asJson.json().error).toMatchObject({
        code: 'events_too_many',
        message: expect.stringContaining(says),
      })
    }
    const asArrow = await build({ limits }).inject({
      method: 'POST',
      url: '/predict',
      headers: { 'content-type': 'application/vnd.apache.arrow.stream' },
      payload: Buffer.from(encodeEventBatch(makeEvents(events))),
    })
    expect(asArrow.statusCode).toBe(status)
    if (status === 413) expect(asArrow.json().error.code).toBe('events_too_many')
  })

  it('takes events that are null for absent, as clients write optional fields', async () => {
    expect((await predict({ events: null, event_id: null, pulses: [pulse] })).statusCode).toBe(200)
  })

  const [MIB, deep] = [1024 * 1024, (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`]
  const bombs = [
    {
      what: 'a list in a list, ten million levels deep',
      body: '['.repeat(10 * MIB),
      says: 'nested more than 64',
    },
    { what: 'objects in objects', body: '{"pulses":'.repeat(MIB), says: 'nested more than 64' },
    {
      what: 'ten million objects',
      body: `[${'{},'.repeat(10 * MIB)}{}]`,
      says: 'more than 1000000 lists and objects',
    },
    {
      what: 'two million different keys',
      body: `{${Array.from({ length: 2 * MIB }, (_, i) => `"k${i}":0`).join()}}`,
      says: 'more than 10000 different keys',
    },
    {
      what: 'a number of thirty million digits',
      body: `{"pulses":${'1'.repeat(30 * MIB)}}`,
      says: 'a number of more than 10000 characters',
    },
    {
      what: 'a number that never ends',
      body: `{"pulses":${'1'.repeat(30 * MIB)}`,
      says: 'a number of more than 10000 characters',
    },
    { what: 'brackets inside strings', body: `{"pulses":"${'[{\\"'.repeat(MIB)}"}`, says: 'pulses must be' },
  ]
  it.each(bombs)('refuses a body of $what in less than 2 s of processor time', async ({ body, says }) => {
    const before = process.cpuUsage()
    const response = await predict(body)
    expect(response.statusCode).toBe(400)
    expect(response.json().error.message).toContain(says)
    expect(process.cpuUsage(before).user).toBeLessThan(2_000_000)
  })

  it.each([
    { levels: 64, says: 'must be one event' },
    { levels: 65, says: 'nested more than 64 levels' },
  ])('reads a long body of $levels levels as one that $says', async ({ levels, says }) => {
    const body = `[${'0,'.repeat(150_000)}${deep(levels - 1)}]`
    expect((await predict(body)).json().error.message).toContain(says)
  })

  it('refuses other media types by name', async () => {
    const response = await build().inject({
      method: 'POST',
      url: '/predict',
      headers: { 'content-type': 'text/csv' },
      payload: 'a',
    })
    expect(response.statusCode).toBe(415)
    expect(response.json().error.code).toBe('media_type_unknown')
  })

  it('refuses an encoded body by the name of its encoding', async () => {
    for (const url of ['/predict', '/v2/models/fake/infer']) {
      const response = await build().inject({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
        payload: JSON.stringify({ pulses: [pulse] }),
      })
      expect(response.statusCode).toBe(415)
      expect(response.body).toContain('Content-Encoding gzip is not supported')
    }
  })

  it('shows no more than "internal error" of what is unknown, and logs it in full', async () => {
    const lines: string[] = []
    const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) })
    const model = fakeModel({
      before: () => {
        throw new Error('secret detail')
      },
    })
    const response = await predict({ pulses: [pulse] }, { model, log })
    expect(response.statusCode).toBe(500)
    expect(response.json()).toEqual({ error: { code: 'internal', message: 'internal error' } })
    expect(lines.join()).toContain('secret detail')
  })

  it('answers 503 with Retry-After while the model is unavailable', async () => {
    const model = fakeModel({
      before: () => {
        throw new UnavailableError('model_worker_died', 'worker 1 died', { retryAfterSeconds: 3 })
      },
    })
    const response = await predict({ pulses: [pulse] }, { model })
    expect(response.statusCode).toBe(503)
    expect(response.headers['retry-after']).toBe('3')
  })

  it('says of an event that the model cannot do which one it is, also behind events that were refused', async () => {
    const batch = makeEvents(6)
    batch.charges[batch.offsets[1]] = -1
    batch.times[batch.offsets[3]] = -1
    const response = await build().inject({
      method: 'POST',
      url: '/predict',
      headers: { 'content-type': 'application/vnd.apache.arrow.stream' },
      payload: Buffer.from(encodeEventBatch(batch)),
    })
    const answer = decodeAnswer(response.rawPayload, batch)
    expect(answer.faults.map(({ index, code }) => [index, code])).toEqual([
      [1, 'charge_not_positive'],
      [3, 'model_failed'],
    ])
    const { kappa, zenith, azimuth } = inferenceOf(batch)
    for (const event of [0, 2, 4, 5]) {
      expect([answer.azimuth[event], answer.zenith[event], answer.kappa[event]]).toEqual([
        azimuth[event],
        zenith[event],
        kappa[event],
      ])
    }
  })
})
