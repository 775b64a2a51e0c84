import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports of outgoing connections, so that none of those uses it meanwhile. */
const PORT_MIN = 16_384
const PORT_COUNT = 16_384

/** A free port of 127.0.0.1, chosen at random so that concurrent processes get different ones. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = PORT_MIN + Math.floor(Math.random() * PORT_COUNT)
    const probe = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
  throw new Error('no free port on 127.0.0.1')
}
