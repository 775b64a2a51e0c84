import { UsageError } from '../errors.ts'
import type { Broker } from './contract.ts'
import { brokerSettings, type OpenOptions } from './options.ts'
import { openSqliteBroker } from './sqlite/broker.ts'

/**
 * Opens the broker that `url` names: `sqlite:FILE`, `redis://…`, `redis+cluster://…` or `redis+sentinel://…`, with
 * `rediss` for TLS.
 * @throws UsageError when the URL is wrong, the file foreign, or the server refuses the login
 * @throws UnavailableError when the server does not answer in time
 */
export async function openBroker(url: string, options: OpenOptions = {}): Promise<Broker> {
  const settings = brokerSettings(options)
  if (url.startsWith('sqlite:')) return await openSqliteBroker(sqlitePath(url), settings)
  if (/^rediss?(\+cluster|\+sentinel)?:\/\//i.test(url)) {
    // Loaded on demand: a pipeline on SQLite needs no Redis client.
    const { openRedisBroker } = await import('./redis/broker.ts')
    return await openRedisBroker(url, settings)
  }
  const scheme = /^[a-z0-9+.-]+:/i.exec(url)?.[0] ?? ''
  throw new UsageError(
    'broker_url_invalid',
    `broker URL begins with "${scheme}"; it must be redis://HOST:PORT, rediss://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT, redis+sentinel://HOST:PORT/PRIMARY or sqlite:FILE`,
  )
}

/** `sqlite:FILE`, `sqlite:/abs/FILE` and `sqlite:///abs/FILE` all name a file. */
function sqlitePath(url: string): string {
  const path = url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, '')
  if (path === '')
    throw new UsageError('broker_url_invalid', 'broker URL sqlite: names no file; write sqlite:FILE')
  return path
}
