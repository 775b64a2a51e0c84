import { type FastifyInstance, fastify } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { NO_TRACER, type Tracer } from '../telemetry/tracing.ts'
import { BodyBudget } from './bodies.ts'
import { Deployments, deploy } from './deployment.ts'
import { docsPage } from './docs-page.ts'
import { errorAnswerer, sendError } from './errors-out.ts'
import { type Guards, guardInference } from './guard.ts'
import { healthRoutes } from './health.ts'
import type { PredictParts } from './infer-events.ts'
import { DEFAULT_LIMITS, type ServerLimits } from './limits.ts'
import { type ServerMetrics, serverMetrics } from './metrics.ts'
import { modelRoute } from './model-route.ts'
import { modelRoutes, protocolRoutes } from './open-inference.ts'
import { predictRoute } from './predict.ts'
import { RequestError } from './request-error.ts'
import type { ServedModel } from './tensor-door.ts'
import { tokenCheck } from './token.ts'
import { traceRequests } from './trace-requests.ts'
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
  /** More facts for a person who looks at /health. No secrets. */
  readonly details?: (() => Readonly<Record<string, string>>) | undefined
  /** Of this program, for the OpenAPI page. */
  readonly version?: string
  readonly tracer?: Tracer
}

export interface ModelServer {
  readonly app: FastifyInstance
  /**
   * From now on `next` answers. Requests under way are finished by the model before; resolves when it has none left, so
   * that its owner can dispose of it.
   */
  swapModel(next: ServedModel): Promise<void>
}

/** The app of `buildModelServer`, for a model that stays. */
export function buildServer(options: ServerOptions): FastifyInstance {
  return buildModelServer(options).app
}

/**
 * The model server as a value: call `inject` on its app, or make it a process with `listenServer`. `close` refuses new
 * requests, finishes those in flight and then resolves.
 */
export function buildModelServer(options: ServerOptions): ModelServer {
  const { token, registry, log, details, version = '0', tracer = NO_TRACER } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const guards: Guards = { allows: tokenCheck(token), budget: new BodyBudget(limits.bodiesBytesMax), limits }
  const app = createApp(limits, options.tls)
  const metrics = serverMetrics(registry, {
    queuedEvents: () => deployments.queuedEvents,
    bodiesBytes: () => guards.budget.heldBytes,
    model: () => deployments.current.model.model,
  })
  const deployments = new Deployments(options.model, (model) => deploy(model, limits, metrics))
  const current = () => deployments.current
  const parts: PredictParts = {
    get events() {
      return current().parts.events
    },
    metrics,
    model: () => current().model.model,
    requestEventsMax: limits.requestEventsMax,
  }
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
  traceRequests(app, tracer)
  lingerOnUnreadBodies(app, limits)
  closeInTime(app, limits.closeWithinMs)
  app.addHook('onClose', async () => {
    await deployments.close()
  })
  docsPage(app, version, token !== undefined)
  // A plugin of its own, because plugins load in order: the page must be there before the routes that it describes.
  app.register((scope, _options, done) => {
    const model = () => current().model
    const startedAtMs = Date.now()
    healthRoutes(scope, { model, registry, allows: guards.allows, startedAtMs, details })
    modelRoute(scope, model)
    protocolRoutes(scope, () => current().door, version)
    done()
  })
  app.register((scope, _options, done) => {
    guardInference(scope, guards)
    predictRoute(scope, parts, guards)
    done()
  })
  app.register((scope, _options, done) => {
    guardInference(scope, guards)
    modelRoutes(scope, () => current().door, guards)
    done()
  })
  return { app, swapModel: (next) => deployments.swap(next) }
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
