import type { FastifyInstance, FastifyRequest } from 'fastify'
import { NO_TRACER, type Span, type Tracer } from '../telemetry/tracing.ts'

/** What is asked every few seconds by those who watch, and tells nobody anything in a trace. */
const UNTRACED = /^\/(health|metrics|docs|openapi|v2\/health)/

/** A span for each request, part of its caller's trace (header `traceparent`). */
export function traceRequests(app: FastifyInstance, tracer: Tracer): void {
  if (tracer === NO_TRACER) return
  const spans = new WeakMap<FastifyRequest, Span>()
  app.addHook('onRequest', (request, _reply, done) => {
    const { traceparent } = request.headers
    if (!UNTRACED.test(request.url)) {
      const route = request.routeOptions.url ?? 'unmatched'
      const attributes = { 'http.request.method': request.method, 'http.route': route }
      const parent = typeof traceparent === 'string' ? traceparent : undefined
      spans.set(request, tracer.start(`${request.method} ${route}`, { parent, kind: 'server', attributes }))
    }
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const span = spans.get(request)
    span?.set({ 'http.response.status_code': reply.statusCode })
    if (reply.statusCode >= 500) span?.fail(`answered ${reply.statusCode}`)
    span?.end()
    done()
  })
}
