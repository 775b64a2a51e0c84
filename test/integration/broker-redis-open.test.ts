import { expect, it } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { batch, settleAll } from '../conformance/broker/support.ts'
import { collectLog } from '../support/log-lines.ts'
import { type Owner, startRedis } from '../support/redis.ts'
import { redisCommand } from '../support/redis-command.ts'
import { makeAuthority, tlsArguments } from '../support/redis-tls.ts'
import { until } from '../support/until.ts'

const SECRET = 'hunter2-and-more'

/** What a user of the broker must be allowed to do (docs/brokers.md). */
const ACL = ['~nustream:*', '+@read', '+@write', '+@stream', '+@scripting', '+@connection', '+info', '+time']

it('names the fault of a URL, without its password', async () => {
  const cases = [
    ['http://user:hunter2-and-more@host', /redis:\/\/HOST:PORT/],
    ['redis://user:hunter2-and-more@host:notaport', /malformed/],
    ['redis://:hunter2-and-more@host/db0', /database "db0"/],
    ['redis://u:%zz@host', /percent-encoded/],
    ['sqlite:', /names no file/],
    ['', /begins with ""/],
  ] as const
  for (const [url, message] of cases) {
    const error = await openBroker(url).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'broker_url_invalid', message: expect.stringMatching(message) })
    expect(JSON.stringify([error, String(error), (error as Error).cause])).not.toContain(SECRET)
  }
})

it('reports within its deadline that Redis does not answer', async (t) => {
  const redis = await startRedis(t)
  await redis.kill9()
  const opening = openBroker(redis.url, { connectTimeoutMs: 300 })
  await expect(opening).rejects.toMatchObject({ code: 'broker_unreachable', message: /ECONNREFUSED/ })
})

it('connects to a Redis that comes within the deadline', async (t) => {
  const redis = await startRedis(t)
  await redis.kill9()
  const opening = openBroker(redis.url, { connectTimeoutMs: 20_000, retryMaxMs: 50 })
  await redis.restart()
  await (await opening).close()
})

it('refuses a read-only replica and names its master', async (t) => {
  const master = await startRedis(t)
  const replica = await startRedis(t, { args: ['--replicaof', `127.0.0.1 ${master.port}`] })
  await expect(openBroker(replica.url)).rejects.toMatchObject({
    code: 'broker_read_only',
    message: `Redis at 127.0.0.1:${replica.port} is a read-only replica; use its primary at 127.0.0.1:${master.port}`,
  })
})

it('tells a wrong password, a missing one and a needless one apart, and shows none', async (t) => {
  const redis = await startRedis(t, { args: ['--requirepass', 'right'] })
  const open = await startRedis(t)
  const cases = [
    [redis.url.replace('//', `//:${SECRET}@`), /refuses this user or password/],
    [redis.url, /asks for a password/],
    [open.url.replace('//', `//:${SECRET}@`), /no password set/],
  ] as const
  for (const [url, message] of cases) {
    const { log, lines } = collectLog()
    const error = await openBroker(url, { log }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'unauthorized', message: expect.stringMatching(message) })
    expect(`${JSON.stringify(error)}${error}${(error as Error).cause}${lines}`).not.toContain(SECRET)
  }
  await (await openBroker(redis.url, { password: 'right' })).close()
})

it('works as an ACL user with few rights, and names the right that is missing', async (t) => {
  const redis = await startRedis(t)
  await redisCommand(redis.url, 'ACL', 'SETUSER', 'stream', 'on', '>p@ss/word', ...ACL)
  await redisCommand(redis.url, 'ACL', 'SETUSER', 'reader', 'on', '>p', '~*', '+@read', '+@connection')
  const broker = await openBroker(redis.url.replace('//', '//stream:p%40ss%2Fword@'), { upkeepMs: 20 })
  t.onTestFinished(() => broker.close())
  await broker.publish(batch('b1'))
  expect(await settleAll(broker, 1)).toEqual(['b1'])
  await broker.beat({ role: 'emitter', instance: 'e', everyMs: 1_000, url: undefined })
  const reader = await openBroker(redis.url, { username: 'reader', password: 'p' })
  t.onTestFinished(() => reader.close())
  await expect(reader.publish(batch('b2'))).rejects.toMatchObject({
    code: 'unauthorized',
    message: /evalsha/,
  })
})

it('speaks TLS with the authority that it is given, and with no other', async (t) => {
  const authority = makeAuthority(t)
  // The server sends its own certificate alone, without that of the authority.
  const redis = await startRedis(t, { tls: true, args: tlsArguments(authority.sign('redis')) })
  expect(redis.url).toMatch(/^rediss:/)
  const broker = await openBroker(redis.url, { tlsCaFile: authority.ca })
  t.onTestFinished(() => broker.close())
  await broker.publish(batch('b1'))
  expect(await settleAll(broker, 1)).toEqual(['b1'])
  const startMs = performance.now()
  await expect(openBroker(redis.url)).rejects.toMatchObject({
    code: 'broker_url_invalid',
    message:
      /not trusted \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\); name its authority's PEM file with --broker-ca/,
  })
  expect(performance.now() - startMs).toBeLessThan(2_000)
  const plain = openBroker(redis.url.replace('rediss:', 'redis:'), { connectTimeoutMs: 500 })
  await expect(plain).rejects.toMatchObject({ code: 'broker_unreachable' })
})

it('sends a client certificate to a Redis that requires one, and reports a missing one', async (t) => {
  const [authority, other] = [makeAuthority(t), makeAuthority(t)]
  const args = tlsArguments(authority.sign('redis'), authority.ca)
  const redis = await startRedis(t, { tls: true, args })
  const { cert, key } = authority.sign('client')
  const tlsCaFile = authority.ca
  const broker = await openBroker(redis.url, { tlsCaFile, tlsCertFile: cert, tlsKeyFile: key })
  t.onTestFinished(() => broker.close())
  await broker.publish(batch('b1'))
  expect(await settleAll(broker, 1)).toEqual(['b1'])
  const wanted = {
    code: 'broker_url_invalid',
    message: /asks for a client certificate .* --broker-cert and --broker-key/,
  }
  await expect(openBroker(redis.url, { tlsCaFile })).rejects.toMatchObject(wanted)
  const foreign = other.sign('client')
  const refused = openBroker(redis.url, { tlsCaFile, tlsCertFile: foreign.cert, tlsKeyFile: foreign.key })
  await expect(refused).rejects.toMatchObject(wanted)
})

it('says which TLS file cannot be used', async (t) => {
  const authority = makeAuthority(t)
  const [one, two] = [authority.sign('one'), authority.sign('two')]
  const cases = [
    [{ tlsCaFile: '/nowhere' }, /^--broker-ca: \/nowhere cannot be read$/],
    [{ tlsCertFile: one.cert }, /needs both --broker-cert and --broker-key/],
    [{ tlsKeyFile: one.key }, /needs both --broker-cert and --broker-key/],
    [{ tlsCertFile: one.cert, tlsKeyFile: two.key }, /cannot be used: .*key values mismatch/],
    [{ tlsCertFile: one.key, tlsKeyFile: one.key }, /cannot be used/],
  ] as const
  for (const [options, message] of cases) {
    const opening = openBroker('rediss://127.0.0.1:1', options)
    await expect(opening).rejects.toMatchObject({
      code: 'flag_invalid',
      message: expect.stringMatching(message),
    })
  }
})

it('warns of an eviction policy and of a missing append-only file', async (t) => {
  const redis = await startRedis(t, { args: ['--maxmemory-policy', 'allkeys-lru', '--appendonly', 'no'] })
  const { log, lines } = collectLog()
  await (await openBroker(redis.url, { log })).close()
  expect(lines.filter((line) => line.includes('noeviction')).length).toBe(1)
  expect(lines.filter((line) => line.includes('appendonly')).length).toBe(1)
})

it('reports a key that belongs to another program', async (t) => {
  const redis = await startRedis(t)
  await redisCommand(redis.url, 'SET', 'nustream:{p0}:batches', 'a string')
  const broker = await openBroker(redis.url)
  t.onTestFinished(() => broker.close())
  await expect(broker.publish(batch('b1'))).rejects.toMatchObject({ message: /another program/ })
  await expect(settleAll(broker, 1)).rejects.toMatchObject({ message: /another program/ })
})

it('spreads its partitions over a cluster and follows a slot that has moved', async (t) => {
  const nodes = [await startClusterNode(t), await startClusterNode(t)]
  const [first, second] = nodes
  await redisCommand(first.url, 'CLUSTER', 'ADDSLOTSRANGE', '0', '8191')
  await redisCommand(second.url, 'CLUSTER', 'ADDSLOTSRANGE', '8192', '16383')
  await redisCommand(first.url, 'CLUSTER', 'MEET', '127.0.0.1', `${second.port}`)
  for (const node of nodes) {
    await until(async () => /cluster_state:ok/.test(String(await redisCommand(node.url, 'CLUSTER', 'INFO'))))
  }
  const broker = await openBroker(first.url, { partitions: 3, upkeepMs: 50, retryMaxMs: 50 })
  t.onTestFinished(() => broker.close())
  for (let sequence = 1; sequence <= 9; sequence++) {
    await broker.publish(batch(`b${sequence}`), { run: 'r', sequence, resume: '', emitted: 0, done: false })
  }
  await broker.beat({ role: 'emitter', instance: 'e', everyMs: 60_000, url: undefined })
  expect(new Set(await settleAll(broker, 9)).size).toBe(9)
  expect(await broker.totals()).toEqual({ emitted: 36, predicted: 36, deadLettered: 0 })
  expect((await broker.heartbeats()).length).toBe(1)
  for (const node of nodes) expect(Number(await redisCommand(node.url, 'DBSIZE'))).toBeGreaterThan(0)
})

async function startClusterNode(t: Owner) {
  return await startRedis(t, { args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] })
}
