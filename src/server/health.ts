import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Registry } from 'prom-client'
import { within } from '../async/deadline.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import { healthSchema, metricsSchema } from './schemas.ts'
import type { TokenCheck } from './token.ts'

export interface HealthParts {
  /** The one that answers now. */
  readonly model: () => Inferrer
  readonly registry: Registry
  readonly allows: TokenCheck
  readonly startedAtMs: number
  /** More facts for a person who looks. */
  readonly details?: (() => Readonly<Record<string, string>>) | undefined
}

const READY_WITHIN_MS = 2_000

/** Undefined when the model can answer now, otherwise why not. */
export async function notReady(model: Inferrer): Promise<string | undefined> {
  try {
    await within(() => model.ready(), READY_WITHIN_MS)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** `/health`, `/health/live`, `/health/ready`, `/metrics`: open, so that probes and Prometheus need no token. */
export function healthRoutes(scope: FastifyInstance, parts: HealthParts): void {
  const answer = async (path: 'all' | 'live' | 'ready', authorization: string | undefined) => {
    const model = parts.model()
    const { name, version } = model.model
    const reason = path === 'live' ? undefined : await notReady(model)
    const details = { ...parts.details?.(), ...(reason !== undefined && { model: reason }) }
    const status = reason === undefined ? 200 : 503
    const body = {
      status: status === 200 ? 'ok' : 'unavailable',
      live: true,
      ready: reason === undefined,
      model: name,
      version,
      uptime_seconds: Math.round((Date.now() - parts.startedAtMs) / 1000),
      // So that a client learns of a wrong token before its first event.
      authorized: parts.allows(authorization),
      ...(Object.keys(details).length > 0 && { details }),
    }
    return { status, body }
  }
  const send = (reply: FastifyReply, { status, body }: Awaited<ReturnType<typeof answer>>) => {
    if (status === 503) reply.header('retry-after', '1')
    return reply.code(status).header('cache-control', 'no-store').send(body)
  }
  for (const [url, path] of [
    ['/health', 'all'],
    ['/health/live', 'live'],
    ['/health/ready', 'ready'],
  ] as const) {
    scope.get(url, { schema: healthSchema }, async (request, reply) =>
      send(reply, await answer(path, request.headers.authorization)),
    )
  }
  scope.get('/metrics', { schema: metricsSchema }, async (_request, reply) =>
    reply.type(parts.registry.contentType).send(await parts.registry.metrics()),
  )
}
