import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { EVENT_ERROR_CODES } from '../errors.ts'
import { SENSOR_COUNT } from '../event/sensors.ts'
import { REQUEST_ERROR_CODES } from './errors.ts'
import { ARROW_TYPE } from './guard.ts'

/**
 * What the OpenAPI page shows, and nothing else: requests are checked by json-events.ts and open-inference.ts, which
 * are faster and name the field at fault. A test holds both to the same examples.
 */
const eventId = z
  .union([z.int(), z.string().regex(/^-?\d{1,19}$/)])
  .describe('Any int64; from 2^53 on as a string of digits. Given back as it was given.')
const sensorId = z
  .int()
  .min(0)
  .max(SENSOR_COUNT - 1)
  .describe('string index × 60 + position on the string')
const time = z.number().describe('ns')
const charge = z.number().positive().describe('photo-electrons, above 0')
const auxiliary = z.union([z.boolean(), z.literal([0, 1])]).describe('true for a pulse of lower quality')

const pulse = z.object({ sensor_id: sensorId, time, charge, auxiliary })
const columns = z
  .object({
    sensor_id: z.array(sensorId).min(1),
    time: z.array(time),
    charge: z.array(charge),
    auxiliary: z.array(auxiliary),
  })
  .describe('Columns of equal length, one value per pulse')

export const eventSchema = z.object({
  event_id: eventId.nullish(),
  pulses: z.union([z.array(pulse).min(1), columns]),
})
export const eventsSchema = z.object({ events: z.array(eventSchema) })

const direction = z.object({
  event_id: eventId.nullable(),
  azimuth: z.number().describe('Where the neutrino came from: radians, 0 to 2π'),
  zenith: z.number().describe('Radians, 0 (straight down-going) to π'),
  kappa: z.number().nullable().describe('Concentration; null where the model gives none'),
  degenerate: z.boolean().describe('True where the event fixes no direction and a last resort was taken'),
  model: z.string(),
  version: z.string(),
})
const fault = z.object({
  event_id: eventId.nullable(),
  error: z.object({ code: z.enum(EVENT_ERROR_CODES), message: z.string() }),
})
export const predictionsSchema = z.object({ predictions: z.array(z.union([direction, fault])) })
export const predictionSchema = direction
export const faultSchema = fault
const requestError = z.object({
  error: z.object({ code: z.enum(REQUEST_ERROR_CODES), message: z.string() }),
})
const health = z.object({
  status: z.enum(['ok', 'unavailable']),
  live: z.boolean(),
  ready: z.boolean(),
  model: z.string(),
  version: z.string(),
  uptime_seconds: z.int(),
  authorized: z.boolean().describe('Whether the Authorization header sent may use /predict'),
  details: z.record(z.string(), z.string()).optional(),
})

const json = (schema: z.ZodType) => ({ 'application/json': { schema: toJson(schema) } })
const arrow = { [ARROW_TYPE]: { schema: { type: 'string', format: 'binary' } } }
const error = (description: string) => ({ description, content: json(requestError) })

const REFUSALS = {
  401: error('The bearer token is missing or wrong'),
  403: error('The Host or Origin header is not allowed'),
  413: error('The body is too large'),
  415: error('The Content-Type is none of these'),
  503: error('Overloaded, or the model cannot answer now: try again after Retry-After seconds'),
  504: error('No answer within the deadline'),
}

export const predictSchema = {
  tags: ['predict'],
  summary: 'Directions of events from their raw pulses',
  description:
    'One event or many. What is wrong with one event is answered in its place and harms no other. ' +
    'Arrow bodies carry the wire form of docs/wire-format.md.',
  security: [{ token: [] }],
  body: { content: { ...json(z.union([eventsSchema, eventSchema])), ...arrow } },
  response: {
    200: {
      description: 'In the order of the request',
      content: { ...json(z.union([predictionsSchema, direction])), ...arrow },
    },
    400: {
      description: 'Not readable, or the one event asked for is bad',
      content: json(z.union([requestError, fault])),
    },
    ...REFUSALS,
  },
}

export const healthSchema = {
  tags: ['watch'],
  summary: 'Whether the server lives and its model can answer',
  response: {
    200: { description: 'It can', content: json(health) },
    503: { description: 'It cannot now', content: json(health) },
  },
}

const histogram = z.object({ edges: z.array(z.number()), shares: z.array(z.number()) })
const servedModel = z.object({
  name: z.string(),
  version: z.string(),
  reference: z
    .object({
      data: z.string(),
      events: z.int(),
      pulses: histogram,
      charge: histogram,
      auxiliary: histogram,
    })
    .nullable()
    .describe('Histograms of the events that it was trained on; null where its manifest has none'),
})

export const modelSchema = {
  tags: ['watch'],
  summary: 'Which model answers, and what it was trained on',
  response: { 200: { description: 'The model', content: json(servedModel) } },
}

export const metricsSchema = {
  tags: ['watch'],
  summary: 'Metrics as Prometheus text',
  response: { 200: { description: 'Text', content: { 'text/plain': { schema: { type: 'string' } } } } },
}

const tensor = z.object({
  name: z.string(),
  datatype: z.string().describe('FP32, INT64, BOOL …'),
  shape: z.array(z.int()),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  data: z.array(z.unknown()).nullish().describe('Row-major, nested or flat; absent for a binary tensor'),
})
const inferRequest = z.object({
  id: z.string().nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  inputs: z.array(tensor),
  outputs: z
    .array(z.object({ name: z.string(), parameters: z.record(z.string(), z.unknown()).nullish() }))
    .nullish()
    .describe('All outputs where absent'),
})
const inferResponse = z.object({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string().optional(),
  outputs: z.array(tensor),
})
const protocolError = z.object({ error: z.string() })

/** Routes of the Open Inference Protocol, version 2. */
export function openInferenceSchema(summary: string, kind: 'read' | 'infer') {
  const schema = { tags: ['open inference protocol'], summary, security: [{ token: [] }] }
  const failed = { description: 'Refused', content: json(protocolError) }
  if (kind === 'read') {
    const content = { 'application/json': { schema: { type: 'object', additionalProperties: true } } }
    return { ...schema, response: { 200: { description: 'As the protocol has it', content }, '4xx': failed } }
  }
  return {
    ...schema,
    body: { content: json(inferRequest) },
    response: {
      200: { description: 'The outputs asked for', content: json(inferResponse) },
      '4xx': failed,
      '5xx': failed,
    },
  }
}

function toJson(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input' })
  return rest
}

/**
 * `/docs` (a page that loads nothing from elsewhere and runs under a strict Content-Security-Policy) and `/docs/json`.
 * Registered before the routes that it describes.
 */
export function docsPage(app: FastifyInstance, version: string, hasToken: boolean): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'nustream model server',
        version,
        description: 'Directions of neutrino events from their raw pulses, and the Open Inference Protocol.',
      },
      ...(hasToken && { components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } } }),
    },
    transform: ({ schema, url }) => ({ schema: hasToken ? schema : withoutSecurity(schema), url }),
  })
  app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { validatorUrl: null, docExpansion: 'list' },
  })
}

function withoutSecurity<T extends object>(schema: T): T {
  if (!('security' in schema)) return schema
  const { security: _none, ...rest } = schema
  // The same schema without a field that is optional in it.
  return rest as T
}
