import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Inferrer, ModelIdentity } from '../inference/inferrer.ts'
import { eventsOf } from '../inference/network/tensor-jobs.ts'
import {
  datatypeOf,
  type GraphInfo,
  type NamedTensors,
  type TensorInfo,
} from '../inference/tensors/tensor.ts'
import { readBody } from './bodies.ts'
import { RequestError } from './errors.ts'
import { type InferRequest, readInferRequest } from './infer-request.ts'
import { writeInferResponse } from './infer-response.ts'
import { openInferenceSchema } from './openapi.ts'
import { PULSE_GRAPH, runPulseTensors } from './pulse-tensors.ts'
import { callerSignal, inferEvents, notReady, type ServedModel, type Serving } from './serving.ts'

/** What takes tensors: the network of a model, or a model without one, which takes raw pulses as tensors. */
interface TensorTaker {
  readonly platform: string
  readonly graph: GraphInfo
  /** Events that the tensors hold, where that is known. */
  eventsOf(inputs: NamedTensors): number | undefined
  run(request: InferRequest, serving: Serving, reply: FastifyReply): Promise<NamedTensors>
}

function tensorTakerOf(model: ServedModel): TensorTaker {
  const { graph, manifest } = model
  if (graph === undefined || manifest === undefined || model.runTensors === undefined) {
    return {
      platform: 'nustream_pulses',
      graph: PULSE_GRAPH,
      eventsOf: ({ lengths }) => lengths.shape[0],
      run: ({ inputs }, serving, reply) =>
        runPulseTensors(inputs, (batch) => inferEvents(batch, model, serving, reply)),
    }
  }
  return {
    platform: 'onnx_onnxv1',
    graph,
    eventsOf: (inputs) => eventsOf(inputs, manifest),
    async run({ inputs, outputs }, { metrics }, reply) {
      const options = { outputs: outputs.map(({ name }) => name), signal: callerSignal(reply, metrics) }
      return (await model.runTensors?.(inputs, options)) ?? {}
    },
  }
}

interface ModelParams {
  readonly name: string
  readonly version?: string
}

const read = (summary: string) => ({ schema: openInferenceSchema(summary, 'read') })

/** `/v2` without what belongs to one model. Health is open as it is at /health. */
export function protocolRoutes(scope: FastifyInstance, { models }: Serving, version: string): void {
  scope.get('/v2', read('Name and extensions of the server'), async () => ({
    name: 'nustream',
    version,
    extensions: ['binary_tensor_data', 'model_repository'],
  }))
  scope.get('/v2/health/live', read('Whether the server is alive'), async () => ({ live: true }))
  scope.get('/v2/health/ready', read('Whether its model can answer'), async (_request, reply) => {
    const isReady = (await notReady(models.current)) === undefined
    return reply.code(isReady ? 200 : 503).send({ ready: isReady })
  })
}

/** Types that a web page of another site can send without being asked whether it may; JSON and bytes are none of them. */
const PAGE_TYPES = /^(text\/plain|application\/x-www-form-urlencoded|multipart\/form-data)\b/i

/** `/v2/models/…` and the index of the one model there is. */
export function modelRoutes(scope: FastifyInstance, serving: Serving): void {
  const { models, limits, budget } = serving
  scope.removeAllContentTypeParsers()
  scope.addHook('onRequest', (request, _reply, done) => {
    const { 'content-type': type, origin } = request.headers
    // Triton's client names no type. A page can leave it out too, but its browser says where the page comes from.
    const isBad = type === undefined ? origin !== undefined : PAGE_TYPES.test(type)
    done(isBad ? new RequestError('media_type_unknown', WANTED_TYPES) : undefined)
  })
  // Clients of the protocol name many media types.
  scope.addContentTypeParser('*', (request: FastifyRequest) =>
    readBody(request, limits.binaryBodyBytesMax, budget),
  )
  scope.post('/v2/repository/index', read('Models that the server holds'), async () => {
    const { name, version } = models.model
    const reason = await notReady(models.current)
    return [{ name, version, state: reason === undefined ? 'READY' : 'UNAVAILABLE', reason: reason ?? '' }]
  })
  for (const base of ['/v2/models/:name', '/v2/models/:name/versions/:version'] as const) {
    scope.get<{ Params: ModelParams }>(base, read('Inputs and outputs of a model'), async ({ params }) =>
      metadata(tensorTakerOf(models.current), wanted(models.current, params)),
    )
    scope.get<{ Params: ModelParams }>(
      `${base}/ready`,
      read('Whether a model can answer'),
      async ({ params }, reply) => {
        const { name } = wanted(models.current, params)
        const isReady = (await notReady(models.current)) === undefined
        return reply.code(isReady ? 200 : 503).send({ name, ready: isReady })
      },
    )
    scope.post<{ Params: ModelParams }>(
      `${base}/infer`,
      { schema: openInferenceSchema('Outputs of a model for tensors', 'infer') },
      // The model that the tensors are checked against is the one that runs them.
      (request, reply) => models.run((model) => infer(model, request, serving, reply)),
    )
  }
}

const WANTED_TYPES =
  'the Content-Type must be application/json, or application/octet-stream with binary tensors'

async function infer(
  model: ServedModel,
  request: FastifyRequest<{ Params: ModelParams }>,
  serving: Serving,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const identity = wanted(model, request.params)
  const taker = tensorTakerOf(model)
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  const header = request.headers['inference-header-content-length']
  const { jsonBodyBytesMax, requestEventsMax } = serving.limits
  const asked = readInferRequest(body, {
    headerLength: Array.isArray(header) ? header[0] : header,
    jsonBytesMax: jsonBodyBytesMax,
    graph: taker.graph,
  })
  const events = taker.eventsOf(asked.inputs) ?? 0
  if (events > requestEventsMax) {
    const message = `the tensors hold ${events} events and one request may hold ${requestEventsMax}; send several requests`
    throw new RequestError('events_too_many', message)
  }
  const response = writeInferResponse(asked, await taker.run(asked, serving, reply), identity)
  if (response.headerLength === undefined) reply.type('application/json')
  else
    reply
      .type('application/octet-stream')
      .header('inference-header-content-length', String(response.headerLength))
  return reply.send(response.body)
}

function wanted({ model }: Inferrer, { name, version }: ModelParams): ModelIdentity {
  if (name !== model.name) {
    throw new RequestError(
      'model_unknown',
      `there is no model '${name.slice(0, 80)}' here, only '${model.name}'`,
    )
  }
  if (version !== undefined && version !== model.version) {
    const message = `model '${name}' has no version '${version.slice(0, 80)}' here, only '${model.version}'`
    throw new RequestError('model_unknown', message)
  }
  return model
}

function metadata({ platform, graph }: TensorTaker, { name, version }: ModelIdentity) {
  const toTensor = ({ name: tensor, dtype, shape }: TensorInfo) => ({
    name: tensor,
    datatype: datatypeOf(dtype),
    // The protocol writes -1 for a dimension that is free.
    shape: shape.map((size) => (typeof size === 'number' ? size : -1)),
  })
  return {
    name,
    versions: [version],
    platform,
    inputs: graph.inputs.map(toTensor),
    outputs: graph.outputs.map(toTensor),
  }
}
