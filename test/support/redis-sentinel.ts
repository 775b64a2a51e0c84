import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { type Owner, type RedisServer, startRedis } from './redis.ts'
import { redisCommand } from './redis-command.ts'
import { until } from './until.ts'

export interface SentinelOptions {
  /** Password of Redis; the Sentinels themselves have none. */
  readonly password?: string
}

export interface WatchedRedis {
  /** `redis+sentinel://HOST:PORT,…/main`, without credentials. */
  readonly url: string
  readonly primary: RedisServer
  readonly replica: RedisServer
  /** Resolves when the Sentinels name this server as the primary. */
  names(server: RedisServer): Promise<void>
}

/** The name under which the Sentinels know the primary. */
export const PRIMARY = 'main'

/** A primary, a replica and three real Sentinels that replace a primary which is unreachable for a second. */
export async function startWatchedRedis(
  owner: Owner,
  { password }: SentinelOptions = {},
): Promise<WatchedRedis> {
  const login = password === undefined ? [] : ['--requirepass', password, '--masterauth', password]
  const primary = await startRedis(owner, { args: login })
  const replica = await startRedis(owner, { args: ['--replicaof', `127.0.0.1 ${primary.port}`, ...login] })
  const as = (url: string) => (password === undefined ? url : url.replace('//', `//:${password}@`))
  const isConnected = async () =>
    String(await redisCommand(as(replica.url), 'INFO', 'replication')).includes('master_link_status:up')
  await until(isConnected, { withinMs: 20_000, what: 'the replica' })
  const ports: number[] = []
  for (let i = 0; i < 3; i++) ports.push(await startSentinel(owner, primary.port, password))
  const urls = ports.map((port) => `redis://127.0.0.1:${port}`)
  // The Sentinels find each other and the replica through the primary.
  const field = async (url: string, name: string) => {
    const [, ...fields] = [
      undefined,
      ...((await redisCommand(url, 'SENTINEL', 'MASTER', PRIMARY)) as string[]),
    ]
    return fields[fields.map(String).indexOf(name) + 1]
  }
  const knowEachOther = async () => {
    const counts = urls.map(async (url) => [
      await field(url, 'num-other-sentinels'),
      await field(url, 'num-slaves'),
    ])
    return (await Promise.all(counts)).every(
      ([others, replicas]) => `${others}` === '2' && `${replicas}` === '1',
    )
  }
  await until(knowEachOther, { withinMs: 30_000, what: 'three Sentinels that know each other' })
  return {
    url: `redis+sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/${PRIMARY}`,
    primary,
    replica,
    async names(server) {
      const isNamed = async () => {
        const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', PRIMARY]
        const replies = await Promise.all(urls.map((url) => redisCommand(url, ...command)))
        return replies.every((reply) => Array.isArray(reply) && `${reply[1]}` === `${server.port}`)
      }
      await until(isNamed, { withinMs: 60_000, everyMs: 50, what: 'the new primary' })
    },
  }
}

async function startSentinel(
  owner: Owner,
  primaryPort: number,
  password: string | undefined,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-sentinel-'))
  const port = await freePort()
  const file = join(folder, 'sentinel.conf')
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `sentinel monitor ${PRIMARY} 127.0.0.1 ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${PRIMARY} 1000`,
    `sentinel failover-timeout ${PRIMARY} 5000`,
    ...(password === undefined ? [] : [`sentinel auth-pass ${PRIMARY} ${password}`]),
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' })
  owner.onTestFinished(async () => {
    const gone = once(child, 'exit')
    if (child.exitCode === null && child.kill('SIGKILL')) await gone
    rmSync(folder, { recursive: true, force: true })
  })
  const answers = () => redisCommand(`redis://127.0.0.1:${port}`, 'PING').catch(() => false)
  await until(answers, { withinMs: 20_000, what: 'a Sentinel' })
  return port
}
