import { createClient } from 'redis'

/** Sends one command on a separate connection, as another client would. */
export async function redisCommand(url: string, ...args: (string | Buffer)[]): Promise<unknown> {
  const client = createClient({ url, RESP: 2, socket: { reconnectStrategy: false } })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await client.sendCommand(args)
  } finally {
    client.destroy()
  }
}
