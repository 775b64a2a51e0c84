import type { FastifyInstance } from 'fastify'
import { type Listening, type ListenOptions, listen } from '../telemetry/listen.ts'

/**
 * Makes a built server a process's own: starts listening and says where.
 * @throws UsageError `port_taken`
 */
export async function listenServer(app: FastifyInstance, options: ListenOptions): Promise<Listening> {
  const { url, port } = await listen(app, options)
  const isTls = 'setSecureContext' in app.server
  return { url: isTls ? url.replace(/^http:/, 'https:') : url, port }
}
