import { pino } from 'pino'
import { Registry } from 'prom-client'
import { buildServer, listenServer, type ServerOptions } from '../../src/server/server.ts'
import { fakeModel } from './fake-model.ts'
import type { Owner } from './redis.ts'

export interface TestServer {
  readonly url: string
  readonly port: number
  readonly registry: Registry
  close(): Promise<void>
}

/** The model server on a real socket; a fake model unless told otherwise. It ends with its owner. */
export async function startServer(
  owner: Owner,
  { port = 0, ...options }: Partial<ServerOptions> & { readonly port?: number } = {},
): Promise<TestServer> {
  const registry = new Registry()
  const app = buildServer({ model: fakeModel(), registry, log: pino({ level: 'silent' }), ...options })
  const close = async () => void (await app.close())
  owner.onTestFinished(close)
  const listening = await listenServer(app, { port })
  return { ...listening, registry, close }
}
