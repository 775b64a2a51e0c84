import { type FastifyInstance, fastify } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { HotModel } from '../inference/release/hot-model.ts'
import { createHostCheck, createTokenCheck, type HostRules } from '../telemetry/access.ts'
import { type Listening, type ListenOptions, listen } from '../telemetry/listen.ts'
import { serveTelemetry, TELEMETRY_PATHS } from '../telemetry/server.ts'
import { NO_TRACER, type Tracer } from '../telemetry/tracing.ts'
import { BodyBudget, lingerOnUnreadBodies } from './bodies.ts'
import { errorAnswerer, RequestError, sendError } from './errors.ts'
import { guardHosts, guardInference } from './guard.ts'
import { DEFAULT_LIMITS, type ServerLimits } from './limits.ts'
import { serverMetrics, watchRequests } from './metrics.ts'
import { modelRoutes, protocolRoutes } from './open-inference.ts'
import { docsPage, healthSchema, metricsSchema, modelSchema } from './openapi.ts'
import { predictRoute } from './predict.ts'
import { notReady, type ServedModel, type Serving } from './serving.ts'

export interface ServerOptions extends HostRules {
  /** Stays the caller's: it is disposed after the server is closed, not by it. */
  readonly model: ServedModel
  /** Callers of /predict and /v2 must send one of them as a bearer token; open to all where there is none. */
  readonly tokens?: readonly string[] | (() => readonly string[])
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer } | undefined
  readonly limits?: Partial<ServerLimits>
  readonly registry: Registry
  readonly log: Logger
  /** More facts for a person who reads /health. No secrets. */
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
  const { registry, log, version = '0', tracer = NO_TRACER } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const app = createApp(limits, options.tls)
  const models = new HotModel(options.model)
  const budget = new BodyBudget(limits.bodiesBytesMax)
  const metrics = serverMetrics(registry, {
    bodiesBytes: () => budget.heldBytes,
    model: () => models.model,
  })
  const token = createTokenCheck(options.tokens ?? [])
  const serving: Serving = { models, metrics, token, budget, limits }
  // Schemas are for the page only: the routes check and write by hand, which is faster and names the field at fault.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  app.setErrorHandler(errorAnswerer(log, metrics))
  app.setNotFoundHandler((request, reply) =>
    sendError(
      new RequestError('not_found', `there is no ${request.method} here; see /docs`),
      request.url,
      reply,
    ),
  )
  watchRequests(app, metrics, tracer)
  closeInTime(app, limits.closeWithinMs)
  guardHosts(app, createHostCheck(options))
  lingerOnUnreadBodies(app, limits)
  docsPage(app, version, token.isNeeded)
  // A plugin of its own, because plugins load in order: the page must be there before the routes that it describes.
  app.register((scope, _options, done) => {
    watchRoutes(scope, serving, options)
    protocolRoutes(scope, serving, version)
    done()
  })
  for (const routes of [predictRoute, modelRoutes]) {
    app.register((scope, _options, done) => {
      guardInference(scope, serving)
      routes(scope, serving)
      done()
    })
  }
  return { app, swapModel: (next) => models.swap(next) }
}

/** `/health…` and `/metrics`, open so that probes and Prometheus need no token, and `/model`. */
function watchRoutes(scope: FastifyInstance, { models, token }: Serving, options: ServerOptions): void {
  const startedMs = Date.now()
  const health = async (authorization: string | undefined) => {
    const reason = await notReady(models.current)
    const details = { ...options.details?.(), ...(reason !== undefined && { model: reason }) }
    const { name, version } = models.model
    return {
      live: true,
      ready: reason === undefined,
      model: name,
      version,
      uptime_seconds: Math.round((Date.now() - startedMs) / 1000),
      // So that a client learns of a wrong token before its first event.
      authorized: token.allows(authorization),
      details: Object.keys(details).length > 0 ? details : undefined,
    }
  }
  for (const url of TELEMETRY_PATHS) {
    scope.get(url, { schema: url === '/metrics' ? metricsSchema : healthSchema }, (request, reply) => {
      reply.hijack()
      const { registry } = options
      void serveTelemetry(request.raw, reply.raw, {
        registry,
        health: () => health(request.headers.authorization),
      })
    })
  }
  // Which model answers, and what its training events looked like, so that a consumer can notice drift.
  scope.get('/model', { schema: modelSchema }, async () => ({
    ...models.model,
    reference: models.reference ?? null,
  }))
}

/**
 * Makes a built server a process's own: starts listening and says where.
 * @throws UsageError `port_taken`
 */
export async function listenServer(app: FastifyInstance, options: ListenOptions): Promise<Listening> {
  const { url, port } = await listen(app, options)
  const isTls = 'setSecureContext' in app.server
  return { url: isTls ? url.replace(/^http:/, 'https:') : url, port }
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
    // `closeInTime` refuses requests in the form of all other refusals.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 256 },
  } as const
  // An HTTPS server differs in nothing that a route can see.
  const app = tls
    ? (fastify({ ...options, https: { ...timeouts, ...tls } }) as unknown as FastifyInstance)
    : fastify({ ...options, http: timeouts })
  app.server.maxConnections = limits.connectionsMax
  return app
}

const IDLE_CHECK_MS = 25

/**
 * Once the server closes: refuses new requests, ends a connection as soon as its last answer is sent, and cuts those
 * still open when the time is up, because a caller that keeps its connection, or never ends its request, could hold up
 * the end for ever.
 */
function closeInTime(app: FastifyInstance, withinMs: number): void {
  let [idle, cut]: (NodeJS.Timeout | undefined)[] = []
  app.addHook('preClose', (done) => {
    idle = setInterval(() => app.server.closeIdleConnections(), IDLE_CHECK_MS)
    cut = setTimeout(() => app.server.closeAllConnections(), withinMs)
    done()
  })
  app.addHook('onRequest', (_request, _reply, done) => {
    done(idle && new RequestError('closing', 'the server is closing', { retryAfterSeconds: 1 }))
  })
  app.addHook('onClose', (_app, done) => {
    clearInterval(idle)
    clearTimeout(cut)
    done()
  })
}
