import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { collectDefaultMetrics, Gauge, type OpenMetricsContentType, Registry } from 'prom-client'
import { within } from '../async/deadline.ts'
import { maskSecrets } from './foreign-text.ts'
import { type Listening, type ListenOptions, listen } from './listen.ts'

/** How a part is. `live`: restarting would not help it. `ready`: it can do its work now. */
export interface Health {
  readonly live: boolean
  readonly ready: boolean
  /** Facts for a person who reads it: what is not ready and why. No secrets. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

export interface TelemetryOptions extends ListenOptions {
  readonly registry: Registry
  /** Asked at every request to /health; one that takes longer than two seconds counts as not ready. */
  readonly health: () => Health | Promise<Health>
}

export interface TelemetryServer extends Listening, AsyncDisposable {
  /** Stops listening and drops open connections. Idempotent. */
  close(): Promise<void>
}

const HEALTH_WITHIN_MS = 2_000

/**
 * Serves `/metrics` (Prometheus text), `/health` (JSON; 200 when live and ready, otherwise 503), and for probes that
 * ask one thing `/health/live` and `/health/ready`.
 * @throws UsageError `port_taken`
 */
export async function openTelemetryServer(options: TelemetryOptions): Promise<TelemetryServer> {
  const server = createServer({ requestTimeout: 5_000, keepAliveTimeout: 5_000 }, (request, response) => {
    void serveTelemetry(request, response, options)
  })
  const listening = await listen(server, options)
  const close = async (): Promise<void> => {
    if (!server.listening) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeAllConnections()
    await closed
  }
  return { ...listening, close, [Symbol.asyncDispose]: close }
}

/** Paths that `serveTelemetry` answers. */
export const TELEMETRY_PATHS = ['/metrics', '/health', '/health/live', '/health/ready'] as const

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

type Watched = Pick<TelemetryOptions, 'registry' | 'health'>

/** Answers one request for `/metrics` or `/health…`; for servers that serve more than those. Never throws. */
export async function serveTelemetry(
  request: IncomingMessage,
  response: ServerResponse,
  options: Watched,
): Promise<void> {
  const { status, type, body } = await answer(request, options).catch((error: unknown) =>
    toAnswer(500, { error: maskSecrets(String(error)) }),
  )
  if (response.destroyed) return
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    ...(status === 503 && { 'retry-after': '1' }),
  })
  response.end(request.method === 'HEAD' ? '' : body)
}

async function answer(request: IncomingMessage, { registry, health }: Watched): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return toAnswer(405, { error: 'only GET and HEAD' })
  const path = request.url?.split('?', 1)[0]
  switch (path) {
    case '/metrics':
      return await metricsAnswer(registry, request.headers.accept)
    case '/health':
    case '/health/live':
    case '/health/ready': {
      const state = await within(async () => health(), HEALTH_WITHIN_MS).catch(
        (error: unknown): Health => ({
          live: true,
          ready: false,
          details: { health: maskSecrets(String(error)) },
        }),
      )
      const good = path === '/health/live' ? state.live : state.live && state.ready
      return toAnswer(good ? 200 : 503, { status: good ? 'ok' : 'unavailable', ...state })
    }
    default:
      return toAnswer(404, { error: 'there are /metrics, /health, /health/live and /health/ready' })
  }
}

/** Exemplars exist in the OpenMetrics form only, which Prometheus asks for where it stores them. */
async function metricsAnswer(registry: Registry, accept = ''): Promise<Answer> {
  const shown = accept.includes('application/openmetrics-text') ? openMetricsOf(registry) : registry
  return { status: 200, type: shown.contentType, body: await shown.metrics() }
}

/** The same metrics in OpenMetrics form. prom-client takes `_total` off the name of a counter that it shows so. */
function openMetricsOf(registry: Registry): Registry<OpenMetricsContentType> {
  const shown = new Registry<OpenMetricsContentType>()
  shown.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  // Its own object for each metric, or the counters of the other form would lose that part of their names too.
  for (const { name } of registry.getMetricsAsArray()) {
    const metric = registry.getSingleMetric(name)
    if (metric) shown.registerMetric(Object.create(metric))
  }
  return shown
}

function toAnswer(status: number, body: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(body)}\n` }
}

export interface BuildInfo {
  readonly version: string
  readonly role: string
}

/** Memory, CPU, event loop and garbage collection of this process, and which build of nustream it runs. */
export function processMetrics(registry: Registry, { version, role }: BuildInfo): void {
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'nustream_build_info',
    help: 'Always 1; the labels say which build runs in which role on which Node.',
    labelNames: ['version', 'role', 'node'] as const,
    registers: [registry],
  }).set({ version, role, node: process.version }, 1)
}
