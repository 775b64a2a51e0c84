import { type FastifyInstance, fastify } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import type { EventBatch } from '../event/event-batch.ts'
import type { Inference } from '../inference/inferrer.ts'
import type { NamedTensors } from '../inference/tensor.ts'
import { BodyBudget } from './bodies.ts'
import { Coalescer } from './coalesce.ts'
import { docsPage } from './docs-page.ts'
import { errorAnswerer, sendError } from './errors-out.ts'
import { eventWork } from './event-work.ts'
import { type Guards, guardInference } from './guard.ts'
import { healthRoutes } from './health.ts'
import type { PredictParts } from './infer-events.ts'
import { DEFAULT_LIMITS, type ServerLimits } from './limits.ts'
import { type ServerMetrics, serverMetrics } from './metrics.ts'
import { modelRoute } from './model-route.ts'
import { modelRoutes, protocolRoutes } from './open-inference.ts'
import { predictRoute } from './predict.ts'
import { RequestError } from './request-error.ts'
import { networkDoor, networkOf, pulseDoor, type ServedModel } from './tensor-door.ts'
import { type TensorAsk, tensorWork } from './tensor-work.ts'
import { tokenCheck } from './token.ts'
import { lingerOnUnreadBodies } from './unread-body.ts'

export interface ServerOptions {
  /** Stays the caller's: it is disposed after the server is closed, not by it. */
  readonly model: ServedModel
  /** Callers of /predict and /v2 must send it as a bearer token; open to all where undefined. */
  readonly token?: string | undefined
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer } | undefined
  readonly limits?: Partial<ServerLimits>
  readonly registry: Registry
  readonly log: Logger
  /** Of this program, for the OpenAPI page. */
  readonly version?: string
}

/**
 * The model server as a value: call `inject` on it, or make it a process with `listenServer`. `close` refuses new
 * requests, finishes those in flight and then resolves.
 */
export function buildServer(options: ServerOptions): FastifyInstance {
  const { model, token, registry, log, version = '0' } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const guards: Guards = { allows: tokenCheck(token), budget: new BodyBudget(limits.bodiesBytesMax), limits }
  const app = createApp(limits, options.tls)
  const metrics = serverMetrics(registry, {
    queuedEvents: () => events.queuedEvents + (tensors?.queuedEvents ?? 0),
    bodiesBytes: () => guards.budget.heldBytes,
    model: () => model.model,
  })
  const events: Coalescer<EventBatch, Inference> = new Coalescer(
    eventWork(model),
    // The model merges on its own what it holds, so many small batches are as good as few large ones.
    {
      ...limits,
      batchesAtWorkMax: Number.POSITIVE_INFINITY,
      eventsAtWorkMax: model.concurrency * limits.batchEventsMax,
    },
    metrics.watch('events'),
  )
  const network = networkOf(model)
  const tensors: Coalescer<TensorAsk, NamedTensors> | undefined =
    network &&
    new Coalescer(
      tensorWork(network),
      { ...limits, batchesAtWorkMax: model.concurrency, eventsAtWorkMax: Number.POSITIVE_INFINITY },
      metrics.watch('tensors'),
    )
  const parts: PredictParts = {
    events,
    metrics,
    model: () => model.model,
    requestEventsMax: limits.requestEventsMax,
  }
  const door = network && tensors ? networkDoor(model, network, tensors, parts) : pulseDoor(model, parts)
  // Schemas are for the page only: checking and writing by hand is faster and names the field at fault.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  app.setErrorHandler(errorAnswerer(log))
  app.setNotFoundHandler((request, reply) =>
    sendError(
      new RequestError('not_found', `there is no ${request.method} here; see /docs`),
      request.url,
      reply,
    ),
  )
  countRequests(app, metrics)
  lingerOnUnreadBodies(app, limits)
  closeInTime(app, limits.closeWithinMs)
  app.addHook('onClose', async () => {
    await Promise.all([events.close(), tensors?.close()])
  })
  docsPage(app, version, token !== undefined)
  // A plugin of its own, because plugins load in order: the page must be there before the routes that it describes.
  app.register((scope, _options, done) => {
    healthRoutes(scope, { model, registry, allows: guards.allows, startedAtMs: Date.now() })
    modelRoute(scope, model)
    protocolRoutes(scope, door, version)
    done()
  })
  app.register((scope, _options, done) => {
    guardInference(scope, guards)
    predictRoute(scope, parts, guards)
    done()
  })
  app.register((scope, _options, done) => {
    guardInference(scope, guards)
    modelRoutes(scope, door, guards)
    done()
  })
  return app
}

function createApp(limits: ServerLimits, tls: ServerOptions['tls']): FastifyInstance {
  const timeouts = {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    // Node looks for requests out of time only this often.
    connectionsCheckingInterval: Math.min(1000, limits.headersTimeoutMs),
  }
  const options = {
    logger: false,
    bodyLimit: Math.max(limits.jsonBodyBytesMax, limits.binaryBodyBytesMax),
    keepAliveTimeout: limits.keepAliveMs,
    requestTimeout: limits.requestTimeoutMs,
    routerOptions: { maxParamLength: 256 },
  } as const
  // An HTTPS server differs in nothing that a route can see.
  const app = tls
    ? (fastify({ ...options, https: { ...timeouts, ...tls } }) as unknown as FastifyInstance)
    : fastify({ ...options, http: timeouts })
  app.server.maxConnections = limits.connectionsMax
  return app
}

function countRequests(app: FastifyInstance, metrics: ServerMetrics): void {
  app.addHook('onResponse', (request, reply, done) => {
    metrics.request(request.routeOptions.url ?? 'unmatched', reply.statusCode, reply.elapsedTime / 1000)
    done()
  })
}

const IDLE_CHECK_MS = 25

/**
 * Ends a connection as soon as its last answer is out, and cuts those still open when the time is up: a caller that
 * keeps its connection, or never ends its request, could hold up the end for ever.
 */
function closeInTime(app: FastifyInstance, withinMs: number): void {
  let [idle, cut]: (NodeJS.Timeout | undefined)[] = []
  app.addHook('preClose', (done) => {
    idle = setInterval(() => app.server.closeIdleConnections(), IDLE_CHECK_MS)
    cut = setTimeout(() => app.server.closeAllConnections(), withinMs)
    done()
  })
  app.addHook('onClose', (_app, done) => {
    clearInterval(idle)
    clearTimeout(cut)
    done()
  })
}
