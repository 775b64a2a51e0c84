import { once } from 'node:events'
import { createServer } from 'node:net'

/** Listening processes and their default ports. */
export const PORTS = {
  redis: 6379,
  emitter: 9101,
  consumer: 9102,
  archive: 9103,
  server: 8500,
  display: 8080,
  mlflow: 5000,
  prometheus: 9090,
} as const

export type Listener = keyof typeof PORTS
export type Ports = Readonly<Record<Listener, number>>

/** For each, the first free port of: the port of the last run, the default port, any port. */
export async function choosePorts(last: Partial<Ports> = {}): Promise<Ports> {
  const chosen = new Map<Listener, number>()
  for (const [name, usual] of Object.entries(PORTS)) {
    const wanted = [last[name as Listener], usual, 0].filter((port) => port !== undefined)
    for (const port of wanted) {
      const free = await tryPort(port)
      if (free === undefined || [...chosen.values()].includes(free)) continue
      chosen.set(name as Listener, free)
      break
    }
  }
  // Every name gets a port, since 0 takes any free one.
  return Object.fromEntries(chosen) as unknown as Ports
}

async function tryPort(port: number): Promise<number | undefined> {
  const probe = createServer()
  const listening = once(probe, 'listening')
  probe.listen(port, '127.0.0.1')
  try {
    await listening
  } catch {
    return undefined
  }
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  return address === null || typeof address === 'string' ? undefined : address.port
}
