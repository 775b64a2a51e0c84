import { once } from 'node:events'
import { connect } from 'node:net'
import type { TestServer } from './start-server.ts'

export const pulse = { sensor_id: 17, time: 100.5, charge: 1.5, auxiliary: false }

export function post(
  server: TestServer,
  body: unknown,
  options: { token?: string; signal?: AbortSignal } = {},
) {
  return fetch(`${server.url}/predict`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(options.token && { authorization: `Bearer ${options.token}` }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(options.signal && { signal: options.signal }),
  })
}

/** Sends bytes over a raw connection and collects the answer until the connection closes. */
export async function raw(server: TestServer, ...parts: (string | Buffer)[]): Promise<string> {
  const socket = connect(server.port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.on('error', () => {})
  for (const part of parts) socket.write(part)
  await once(socket, 'close')
  return answer
}

// The comparison in the test is the check.
export async function jsonOf<T>(response: Response): Promise<T> {
  return (await response.json()) as T
}

/** Value of a metric; `name` is the beginning of its line. */
export async function metric(server: TestServer, name: string): Promise<number> {
  const text = await server.registry.metrics()
  const line = text.split('\n').find((each) => each.startsWith(name))
  return Number(line?.split(' ').at(-1))
}
