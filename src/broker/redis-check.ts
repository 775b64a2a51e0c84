import type { Logger } from 'pino'
import { UsageError } from '../errors.ts'
import { replyCode } from './redis-errors.ts'
import type { RedisLink } from './redis-link.ts'

/** Scripts with flags and the lag of a consumer group are new in 7.0. */
const MAJOR_MIN = 7

/**
 * Looks at the server once: what makes it unfit is an error, what endangers data is a warning.
 * @throws UsageError for a read-only replica and for a server that is too old
 */
export async function checkRedis(link: RedisLink, log: Logger | undefined): Promise<void> {
  const info = await readInfo(link)
  const at = link.address
  if (info === undefined) {
    log?.info({ at }, 'Redis does not let this user read INFO, its settings are not checked')
    return
  }
  const version = info.get('redis_version') ?? ''
  if (Number.parseInt(version, 10) < MAJOR_MIN) {
    throw new UsageError(
      'broker_url_invalid',
      `Redis at ${at} is version ${version}; ${MAJOR_MIN}.0 or newer is needed`,
    )
  }
  if (info.get('role') === 'slave' && info.get('slave_read_only') !== '0') {
    const master = `${info.get('master_host')}:${info.get('master_port')}`
    throw new UsageError(
      'broker_read_only',
      `Redis at ${at} is a read-only replica; use its master at ${master}`,
    )
  }
  const policy = info.get('maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    log?.warn(
      { at, policy },
      'Redis may evict what is waiting when it is full; set maxmemory-policy noeviction',
    )
  }
  if (info.get('aof_enabled') === '0') {
    log?.warn({ at }, 'Redis keeps no append-only file, a crash loses what is waiting; set appendonly yes')
  }
}

async function readInfo(link: RedisLink): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    const text = String(await link.send(['INFO']))
    const pairs = text.split('\r\n').filter((line) => line.includes(':') && !line.startsWith('#'))
    return new Map(pairs.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
  } catch (error) {
    if (replyCode(error) === 'NOPERM') return undefined
    throw error
  }
}
