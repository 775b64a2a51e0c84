import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Owner } from './redis.ts'

export interface ProxiedCall {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface ProxiedAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Decides about a call: its own answer, `hang`, or undefined to forward it. It may change the forwarded answer. */
export type Script = (call: ProxiedCall) => ProxiedAnswer | 'hang' | undefined

export interface Proxy {
  readonly url: string
  readonly calls: readonly ProxiedCall[]
}

/** A proxy between a client and a server at `target` that follows a script. */
export async function startProxy(owner: Owner, target: string, script: Script): Promise<Proxy> {
  const calls: ProxiedCall[] = []
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const { method = '', url = '', headers } = incoming
    const call = { method, path: url, headers, body: Buffer.concat(chunks) }
    calls.push(call)
    const said = script(call)
    if (said === 'hang') return
    if (said) {
      outgoing.writeHead(said.status, said.headers)
      outgoing.end(said.body)
      return
    }
    const on = request(new URL(url, target), { method, headers: { ...headers, host: new URL(target).host } })
    on.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    on.on('error', () => outgoing.destroy())
    on.end(call.body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  owner.onTestFinished(async () => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls }
}
