import { pino } from 'pino'
import { Registry } from 'prom-client'
import { queueMetrics } from '../../src/server/metrics.ts'
import { buildServer, listenServer, type ServerOptions } from '../../src/server/server.ts'
import { fakeModel } from './fake-model.ts'
import { type QueuedModelOptions, queuedModel } from './queued-model.ts'
import type { Owner } from './redis.ts'

export interface TestServer {
  readonly url: string
  readonly port: number
  readonly registry: Registry
  close(): Promise<void>
}

export interface TestServerOptions extends Partial<ServerOptions> {
  readonly port?: number
  /** Serves the fake model behind a real queue. */
  readonly queue?: QueuedModelOptions
}

/** The model server on a real socket, by default with a fake model. It ends with its owner. */
export async function startServer(
  owner: Owner,
  { port = 0, queue, ...options }: TestServerOptions = {},
): Promise<TestServer> {
  const registry = new Registry()
  const model = queue ? queuedModel({ watch: queueMetrics(registry), ...queue }) : fakeModel()
  const app = buildServer({ model, registry, log: pino({ level: 'silent' }), ...options })
  const close = async () => void (await app.close())
  owner.onTestFinished(close)
  const listening = await listenServer(app, { port })
  return { ...listening, registry, close }
}
