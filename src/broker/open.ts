import { UsageError } from '../errors.ts'
import type { Broker } from './contract.ts'
import type { BrokerOptions } from './options.ts'
import { openSqliteBroker } from './sqlite/broker.ts'

/**
 * Opens the broker that `url` names: `redis://…`, `rediss://…`, `redis+cluster://…`, `rediss+cluster://…` or
 * `sqlite:FILE`.
 * @throws UsageError when the URL is wrong, the file foreign, or the server refuses us
 * @throws UnavailableError when the server does not answer in time
 */
export async function openBroker(url: string, options: BrokerOptions = {}): Promise<Broker> {
  if (url.startsWith('sqlite:')) return await openSqliteBroker(sqlitePath(url), options)
  if (/^rediss?(\+cluster)?:\/\//i.test(url)) {
    // Loaded on demand: a pipeline on SQLite needs no Redis client.
    const { openRedisBroker } = await import('./redis/broker.ts')
    return await openRedisBroker(url, options)
  }
  const scheme = /^[a-z0-9+.-]+:/i.exec(url)?.[0] ?? ''
  if (/^rediss?[+-]sentinel/i.test(scheme)) {
    throw new UsageError(
      'broker_url_invalid',
      'broker URL names Sentinels, which nustream does not ask; let a DNS name or proxy lead to the primary, or use a Redis Cluster',
    )
  }
  throw new UsageError(
    'broker_url_invalid',
    `broker URL begins with "${scheme}"; it must be redis://HOST:PORT, rediss://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT or sqlite:FILE`,
  )
}

/** `sqlite:FILE`, `sqlite:/abs/FILE` and `sqlite:///abs/FILE` all name a file. */
function sqlitePath(url: string): string {
  const path = url.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, '')
  if (path === '')
    throw new UsageError('broker_url_invalid', 'broker URL sqlite: names no file; write sqlite:FILE')
  return path
}
