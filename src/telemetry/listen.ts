import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import { UsageError } from '../errors.ts'

export interface ListenOptions {
  /** 127.0.0.1 unless told otherwise: nothing is open to the network by accident. */
  readonly host?: string
  /** 0 takes any free port. */
  readonly port: number
  /** The flag that sets the port, for the error message. */
  readonly flag?: string
}

export interface Listening {
  /** Where others reach it: a wildcard host is replaced by this machine's name. */
  readonly url: string
  readonly port: number
}

/** A server that is a value before it is a process: a plain HTTP server, or one of Fastify. */
export type Listenable =
  | Server
  | { readonly server: Server; listen(options: { host: string; port: number }): Promise<unknown> }

/**
 * Starts listening and says where.
 * @throws UsageError `port_taken` naming port and remedy when the address cannot be had
 */
export async function listen(target: Listenable, options: ListenOptions): Promise<Listening> {
  const { host = '127.0.0.1', port, flag = '--port' } = options
  try {
    if ('server' in target) await target.listen({ host, port })
    else await listenPlain(target, host, port)
  } catch (error) {
    throw toUsageError(error, { host, port, flag })
  }
  const server = 'server' in target ? target.server : target
  // An HTTP server on a port has an AddressInfo; a string is the address of a pipe, null that of a closed one.
  const address = server.address() as AddressInfo
  return { url: toUrl(host, address.port), port: address.port }
}

function listenPlain(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function toUsageError(error: unknown, { host, port, flag }: Required<ListenOptions>): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const reason = {
    EADDRINUSE: `another program listens there; stop it, or choose another port with ${flag} (0 takes any free one)`,
    EACCES: `this user may not listen there; choose a port from 1024 with ${flag}`,
    EADDRNOTAVAIL: 'this machine has no such address; correct --host',
    ENOTFOUND: 'this machine has no such address; correct --host',
  }[String(code)]
  if (reason === undefined) return error
  return new UsageError('port_taken', `cannot listen on ${host} port ${port}: ${reason}`, { cause: error })
}

function toUrl(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
