import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ModelIdentity } from '../inference/inferrer.ts'
import type { GraphInfo, NamedTensors, TensorInfo } from '../inference/tensors/tensor.ts'
import { datatypeOf } from '../inference/tensors/tensor.ts'
import type { Guards } from './guard.ts'
import { type InferRequest, readInferRequest } from './infer-request.ts'
import { writeInferResponse } from './infer-response.ts'
import { RequestError } from './request-error.ts'
import { openInferenceSchema } from './schemas.ts'

/** What the protocol's routes need of the model. */
export interface TensorDoor {
  readonly identity: () => ModelIdentity
  readonly platform: string
  readonly graph: GraphInfo
  run(request: InferRequest, reply: FastifyReply): Promise<NamedTensors>
  /** Why the model cannot answer now, or undefined. */
  notReady(): Promise<string | undefined>
}

interface ModelParams {
  readonly name: string
  readonly version?: string
}

/** `/v2` without what belongs to one model. Health is open as it is at /health. */
export function protocolRoutes(scope: FastifyInstance, door: () => TensorDoor, version: string): void {
  const read = (summary: string) => ({ schema: openInferenceSchema(summary, 'read') })
  scope.get('/v2', read('Name and extensions of the server'), async () => ({
    name: 'nustream',
    version,
    extensions: ['binary_tensor_data', 'model_repository'],
  }))
  scope.get('/v2/health/live', read('Whether the server lives'), async () => ({ live: true }))
  scope.get('/v2/health/ready', read('Whether its model can answer'), async (_request, reply) => {
    const isReady = (await door().notReady()) === undefined
    return reply.code(isReady ? 200 : 503).send({ ready: isReady })
  })
}

/** `/v2/models/…` and the index of the one model there is. */
export function modelRoutes(scope: FastifyInstance, door: () => TensorDoor, { limits }: Guards): void {
  scope.removeAllContentTypeParsers()
  // Clients of the protocol name all kinds of media types, or none.
  const options = { parseAs: 'buffer', bodyLimit: limits.binaryBodyBytesMax } as const
  scope.addContentTypeParser('*', options, (_request, bytes, done) => done(null, bytes))
  const index = async () => {
    const { name, version } = door().identity()
    const reason = await door().notReady()
    return [{ name, version, state: reason === undefined ? 'READY' : 'UNAVAILABLE', reason: reason ?? '' }]
  }
  const read = (summary: string) => ({ schema: openInferenceSchema(summary, 'read') })
  scope.post('/v2/repository/index', read('Models that the server holds'), index)
  for (const base of ['/v2/models/:name', '/v2/models/:name/versions/:version'] as const) {
    scope.get<{ Params: ModelParams }>(base, read('Inputs and outputs of a model'), async ({ params }) =>
      metadata(door(), wanted(door(), params)),
    )
    scope.get<{ Params: ModelParams }>(
      `${base}/ready`,
      read('Whether a model can answer'),
      async ({ params }, reply) => {
        const { name } = wanted(door(), params)
        const isReady = (await door().notReady()) === undefined
        return reply.code(isReady ? 200 : 503).send({ name, ready: isReady })
      },
    )
    scope.post<{ Params: ModelParams }>(
      `${base}/infer`,
      { schema: openInferenceSchema('Outputs of a model for tensors', 'infer') },
      // Read once: the model that the tensors are checked against is the one that runs them.
      (request, reply) => infer(door(), request, reply),
    )
  }
}

async function infer(
  door: TensorDoor,
  request: FastifyRequest<{ Params: ModelParams }>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const model = wanted(door, request.params)
  const { headers } = request
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  const header = headers['inference-header-content-length']
  const asked = readInferRequest(body, Array.isArray(header) ? header[0] : header, door.graph)
  const response = writeInferResponse(asked, await door.run(asked, reply), model)
  if (response.headerLength === undefined) reply.type('application/json')
  else
    reply
      .type('application/octet-stream')
      .header('inference-header-content-length', String(response.headerLength))
  return reply.send(response.body)
}

function wanted(door: TensorDoor, { name, version }: ModelParams): ModelIdentity {
  const model = door.identity()
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

function metadata({ platform, graph }: TensorDoor, { name, version }: ModelIdentity) {
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
