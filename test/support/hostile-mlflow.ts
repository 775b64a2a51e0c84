import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Owner } from './redis.ts'

/** A fault of a tracking server, without an imitation of MLflow. */
export const FAULTS = [
  'hangs',
  'trickles',
  'fails',
  'garbage',
  'empty',
  'huge',
  'resets',
  'redirects',
] as const
export type HttpFault = (typeof FAULTS)[number]

export interface HostileServer {
  readonly url: string
  /** Requests so far. */
  readonly requests: readonly string[]
}

/** A server that answers every request with one fault. It ends with its owner. */
export async function startHostileServer(owner: Owner, fault: HttpFault): Promise<HostileServer> {
  const requests: string[] = []
  const timers = new Set<NodeJS.Timeout>()
  const server: Server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    request.resume()
    misbehave(fault, request, response, timers)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  owner.onTestFinished(async () => {
    for (const timer of timers) clearInterval(timer)
    server.closeAllConnections()
    server.close()
  })
  // A server on a port has an AddressInfo.
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, requests }
}

function misbehave(
  fault: HttpFault,
  request: IncomingMessage,
  response: ServerResponse,
  timers: Set<NodeJS.Timeout>,
): void {
  response.on('error', () => {})
  switch (fault) {
    case 'hangs':
      return
    case 'trickles':
      response.writeHead(200, { 'content-type': 'application/json' })
      timers.add(setInterval(() => response.write(' '), 50))
      return
    case 'fails':
      response.writeHead(500).end('Internal Server Error')
      return
    case 'garbage':
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end('{"experiment": {"experiment_id": [')
      return
    case 'empty':
      response.writeHead(200).end()
      return
    case 'huge':
      response.writeHead(200, { 'content-type': 'application/json' })
      timers.add(setInterval(() => response.write(Buffer.alloc(1_000_000, 120)), 5))
      return
    case 'resets':
      request.socket.resetAndDestroy()
      return
    case 'redirects':
      response.writeHead(302, { location: `http://127.0.0.1:9/${request.url}` }).end()
  }
}
