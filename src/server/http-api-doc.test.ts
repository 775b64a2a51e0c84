import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { fakeModel } from '../../test/support/fake-model.ts'
import { REQUEST_ERROR_CODES, RequestError } from './errors.ts'
import { readJsonEvents } from './json-events.ts'
import { DEFAULT_DEADLINE_MS, DEFAULT_LIMITS } from './limits.ts'
import { eventSchema, eventsSchema, predictionsSchema } from './openapi.ts'
import { buildServer } from './server.ts'

const doc = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8')
const examples = [...doc.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text]) => JSON.parse(text))

describe('docs/http-api.md', () => {
  it('lists every code of a refused request with its status, and no other', () => {
    const rows = [...doc.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \|/gm)].map(([, code, status]) => [
      code,
      Number(status),
    ])
    const codes = REQUEST_ERROR_CODES.map((code) => [code, new RequestError(code, '').status])
    expect(rows.toSorted()).toEqual(codes.toSorted())
  })

  it('says the limits that are', () => {
    const { jsonBodyBytesMax, binaryBodyBytesMax, bodiesBytesMax, requestEventsMax } = DEFAULT_LIMITS
    const mib = (bytes: number) => `${bytes / 1024 / 1024} MiB`
    expect(doc).toContain(`over ${mib(jsonBodyBytesMax)} of JSON, or ${mib(binaryBodyBytesMax)} of Arrow`)
    expect(doc).toContain(`(${mib(bodiesBytesMax)})`)
    expect(doc).toContain(`over ${requestEventsMax.toLocaleString('en')} events`)
    const { headersTimeoutMs, requestTimeoutMs } = DEFAULT_LIMITS
    expect(doc).toContain(`no answer within ${DEFAULT_DEADLINE_MS / 1000} s`)
    expect(doc).toContain(
      `within ${headersTimeoutMs / 1000} s and a whole request within ${requestTimeoutMs / 1000} s`,
    )
  })

  it('shows requests that are answered, and answers of the form that comes', async () => {
    const app = buildServer({ model: fakeModel(), registry: new Registry(), log: pino({ level: 'silent' }) })
    const ask = (payload: object) => app.inject({ method: 'POST', url: '/predict', payload })
    const events = examples.filter((example) => 'pulses' in example)
    expect(events.length).toBe(2)
    for (const event of events) expect((await ask(event)).statusCode).toBe(200)
    const answer = (await ask({ events })).json()
    expect(predictionsSchema.safeParse(answer).success).toBe(true)
    const shown = examples.find((example) => 'predictions' in example)
    expect(predictionsSchema.safeParse(shown).success).toBe(true)
    expect(Object.keys(answer.predictions[0])).toEqual(Object.keys(shown.predictions[0]))
    const health = examples.find((example) => 'uptime_seconds' in example)
    expect(Object.keys((await app.inject({ url: '/health' })).json())).toEqual(Object.keys(health))
  })
})

describe('the OpenAPI schema and the reader of requests', () => {
  const pulse = { sensor_id: 5159, time: -3.5, charge: 0.025, auxiliary: 1 }
  const columns = { sensor_id: [1], time: [2], charge: [3], auxiliary: [true] }
  const good = [
    { pulses: [pulse] },
    { event_id: null, pulses: columns },
    { event_id: -7, pulses: [pulse, { ...pulse, auxiliary: false }] },
    { event_id: '-9223372036854775808', pulses: columns },
  ]
  const bad = [
    { pulses: [] },
    { event_id: 1.5, pulses: [pulse] },
    { event_id: 'x', pulses: [pulse] },
    { pulses: [{ ...pulse, sensor_id: 5160 }] },
    { pulses: [{ ...pulse, sensor_id: -1 }] },
    { pulses: [{ ...pulse, time: null }] },
    { pulses: [{ ...pulse, charge: 0 }] },
    { pulses: [{ ...pulse, auxiliary: 'no' }] },
    { pulses: { ...columns, time: undefined } },
    { pulses: 'none' },
  ]
  it.each([
    ...good.map((event) => ({ event, isGood: true })),
    ...bad.map((event) => ({ event, isGood: false })),
  ])('agree on $event', ({ event, isGood }) => {
    expect(eventSchema.safeParse(event).success).toBe(isGood)
    expect(eventsSchema.safeParse({ events: [event] }).success).toBe(isGood)
    expect(readJsonEvents(event, 10).refusals.length === 0).toBe(isGood)
  })
})
