import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { openBroker } from '../../src/broker/open.ts'
import { readCompose, type Service } from '../support/compose-file.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { startRedis } from '../support/redis.ts'
import { settingsOf, unknownTo } from '../support/settings-of.ts'

const run = promisify(execFile)
const CUBE1_ADDRESS = '192.0.2.10'
const files = ['compose', 'cube1', 'cube2'].map((name) => ({
  name,
  path: `deploy/${name}.yaml`,
  content: readCompose(`deploy/${name}.yaml`, { CUBE1_ADDRESS }),
}))
const services = files.flatMap(({ name, content }) =>
  Object.entries(content.services).map(([service, its]) => ({ file: name, service, its })),
)
const ours = services.filter(({ its }) => its.image === 'nustream')

const secrets = mkdtempSync(join(tmpdir(), 'nustream-secrets-'))
beforeAll(async () => {
  await run('deploy/certs.sh', ['--dir', secrets, '127.0.0.1', 'detector.example.org'])
  return () => rmSync(secrets, { recursive: true, force: true })
})

describe.each([
  { tool: 'Compose v2', words: ['docker', 'compose'] },
  { tool: 'docker-compose 1.29', words: ['docker-compose'] },
])('$tool', ({ words: [program, ...words] }) => {
  const isMissing = spawnSync(program, [...words, 'version']).status !== 0
  it.for(files)('reads $path', async ({ path }, { skip }) => {
    // Neither comes with nustream, nor can a script of its own install either; every other check of the files needs none.
    skip(isMissing, `there is no ${[program, ...words].join(' ')} on this machine`)
    const env = { ...process.env, CUBE1_ADDRESS, SECRETS_DIR: secrets }
    await run(program, [...words, '-f', path, 'config', '-q'], { env })
  })
})

describe('every service', () => {
  it.each(services)('$file $service is a fixed version of its image', ({ its }) => {
    expect(its.image).toMatch(/^nustream$|:v?\d[\w.-]*$/)
  })

  it.each(services)('$file $service gives up what it does not need', ({ its }) => {
    expect(its).toMatchObject({ cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    expect(its).toMatchObject({ restart: 'unless-stopped', logging: { options: { 'max-size': '10m' } } })
  })

  it.each(services)('$file $service says whether it is well', ({ its }) => {
    // Ours do by the health check of their image.
    expect(its.healthcheck !== undefined).toBe(its.image !== 'nustream')
  })

  it.each(services)('$file $service declares its volumes, secrets and what it waits for', ({ file, its }) => {
    const content = files.find(({ name }) => name === file)?.content
    const named = (its.volumes ?? []).map((text) => text.split(':')[0]).filter((source) => /^\w/.test(source))
    expect(Object.keys(content?.volumes ?? {})).toEqual(expect.arrayContaining(named))
    expect(Object.keys(content?.secrets ?? {})).toEqual(expect.arrayContaining(its.secrets ?? []))
    expect(Object.keys(content?.services ?? {})).toEqual(
      expect.arrayContaining(Object.keys(its.depends_on ?? {})),
    )
  })

  it('publishes ports on this machine alone, but for the two that cube 2 needs of cube 1', () => {
    const isOpen = ({ its }: { its: Service }) => its.ports?.some((port) => !port.startsWith('127.0.0.1:'))
    expect(services.filter(isOpen).map(({ file, service }) => `${file} ${service}`)).toEqual([
      'cube1 redis',
      'cube1 emitter',
    ])
  })
})

describe('our services', () => {
  it.each(ours)('$file $service has a read-only root and bounds', ({ its }) => {
    expect(its).toMatchObject({ read_only: true, tmpfs: ['/tmp'], mem_limit: '2g', pids_limit: 256 })
    expect(its.cap_add).toBeUndefined()
  })

  it.each(ours)('$file $service understands every setting it is given', async ({ its }) => {
    const config = its.secrets?.includes('broker.json')
      ? { NUSTREAM_CONFIG: join(secrets, 'cube2/broker.json') }
      : {}
    const [command] = its.command ?? []
    expect(await unknownTo(command, { ...its.environment, ...config })).toEqual([])
  })

  it('keep models of a registry in a volume', () => {
    const models = ours.filter(({ its }) => ['serve', 'consume'].includes(its.command?.[0] ?? ''))
    expect(models.length).toBeGreaterThan(2)
    for (const { its } of models) {
      expect(its.volumes).toContain('models:/cache')
      expect(its.environment?.['NUSTREAM_MODEL_CACHE']).toBe('/cache/models')
    }
  })

  it('stop later than a consumer takes to finish', async () => {
    const settings = await settingsOf('consume', {
      NUSTREAM_BROKER: 'redis://h',
      NUSTREAM_MLFLOW: 'http://m',
    })
    const takesMs = Number(settings['shutdownMs']) + Number(settings['mlflowShutdownMs'])
    for (const { its } of ours)
      expect(Number(its.stop_grace_period?.replace('s', '')) * 1000).toBeGreaterThan(takesMs)
  })

  it('are where Prometheus looks for them', () => {
    const lists = parse(readFileSync('deploy/prometheus/targets-compose/nustream.yml', 'utf8')) as {
      targets: string[]
    }[]
    const listed = lists.flatMap(({ targets }) => targets).map((target) => target.split(':')[0])
    const [, byName = ''] =
      /names: \[(\w+)\]/.exec(readFileSync('deploy/prometheus/prometheus.compose.yml', 'utf8')) ?? []
    const hosts = [...listed, byName]
    const names = ours.filter(({ file }) => file === 'compose').map(({ service }) => service)
    expect(hosts.toSorted()).toEqual(names.toSorted())
    const [, cube1, cube2] = files.map(({ content }) => content.services)
    const elsewhere = hosts.filter((host) => !(host in cube2))
    expect(Object.keys(cube1)).toEqual(expect.arrayContaining(elsewhere))
    expect(cube2['prometheus'].extra_hosts).toEqual(elsewhere.map((host) => `${host}:${CUBE1_ADDRESS}`))
  })
})

describe('the two cubes', () => {
  it('share the password of Redis by file, and no setting holds it', () => {
    for (const { its } of ours.filter(({ file }) => file !== 'compose')) {
      expect(its.environment).toMatchObject({ NUSTREAM_CONFIG: '/run/secrets/broker.json' })
      expect(its.environment?.['NUSTREAM_BROKER']).toMatch(/^rediss:\/\/cube1:6379$/)
      expect(Object.keys(its.environment ?? {})).not.toContain('NUSTREAM_BROKER_PASSWORD')
    }
  })

  it('have a Redis that speaks TLS alone', () => {
    const command = files[1].content.services['redis'].command ?? []
    expect(command[command.indexOf('--port') + 1]).toBe('0')
    expect(command).toEqual(expect.arrayContaining(['--tls-port', '--aclfile', '--tls-cert-file']))
  })
})

describe('deploy/certs.sh', () => {
  const read = (path: string) => readFileSync(join(secrets, path), 'utf8')
  const certificate = () => join(secrets, 'cube1/redis.crt')

  it('makes a certificate for the names given, signed by its own authority', async () => {
    await run('openssl', ['verify', '-CAfile', join(secrets, 'cube2/ca.crt'), certificate()])
    const names = await run('openssl', ['x509', '-in', certificate(), '-noout', '-ext', 'subjectAltName'])
    expect(names.stdout).toContain('DNS:cube1')
    expect(names.stdout).toContain('IP Address:127.0.0.1')
    expect(names.stdout).toContain('DNS:detector.example.org')
  })

  it('gives Redis no password but its hash, and the permissions of docs/brokers.md', () => {
    const { brokerPassword } = JSON.parse(read('cube1/broker.json')) as { brokerPassword: string }
    expect(read('cube1/redis.acl')).not.toContain(brokerPassword)
    const [, documented] =
      /ACL SETUSER nustream on >PASSWORD (.+)/.exec(readFileSync('docs/brokers.md', 'utf8')) ?? []
    expect(read('cube1/redis.acl').trim().split('\n').at(-1)).toMatch(/^user nustream on #[0-9a-f]{64} /)
    expect(read('cube1/redis.acl').trim().split('\n').at(-1)?.split(' ').slice(4).join(' ')).toBe(documented)
  })

  it('closes its folders to others, and hands cube 2 no key', () => {
    for (const folder of ['.', 'authority', 'cube1', 'cube2'])
      expect(statSync(join(secrets, folder)).mode & 0o777, folder).toBe(0o700)
    expect(statSync(join(secrets, 'authority/ca.key')).mode & 0o777).toBe(0o600)
    expect(() => read('cube2/redis.key')).toThrow('ENOENT')
    expect(read('cube2/ca.crt')).toBe(read('authority/ca.crt'))
  })

  it('makes what a real Redis and our broker understand, and nothing less comes in', async (test) => {
    const in1 = (file: string) => join(secrets, 'cube1', file)
    const tls = ['--tls-cert-file', in1('redis.crt'), '--tls-key-file', in1('redis.key')]
    const more = [
      '--tls-ca-cert-file',
      in1('ca.crt'),
      '--tls-auth-clients',
      'no',
      '--aclfile',
      in1('redis.acl'),
    ]
    const redis = await startRedis(test, { tls: true, args: [...tls, ...more] })
    const { brokerUser, brokerPassword } = JSON.parse(read('cube2/broker.json')) as Record<string, string>
    const login = { username: brokerUser, password: brokerPassword, tlsCaFile: join(secrets, 'cube2/ca.crt') }
    await using broker = await openBroker(redis.url, login)
    await broker.ping()
    expect(await broker.totals()).toMatchObject({ emitted: 0 })
    await expect(openBroker(redis.url, { ...login, password: 'wrong' })).rejects.toThrow(
      /password|user|WRONGPASS/i,
    )
    const { username: _, password: __, ...nobody } = login
    await expect(openBroker(redis.url, nobody)).rejects.toThrow()
    await expect(openBroker(redis.url, { ...login, username: 'default', password: '' })).rejects.toThrow()

    // The append-only file is replayed with the permissions of another user.
    await broker.publish(toMessage('kept', makeEvents(3)))
    await redis.kill9()
    await redis.restart()
    expect(await broker.totals()).toMatchObject({ emitted: 3 })
    expect(redis.log()).not.toContain('NOPERM')
  })

  it('run again keeps authority and password and renews the certificate', async () => {
    const before = ['authority/ca.key', 'cube1/broker.json', 'cube1/redis.acl', 'cube2/grafana.password'].map(
      read,
    )
    const old = read('cube1/redis.crt')
    await run('deploy/certs.sh', ['--dir', secrets, '127.0.0.1'])
    const after = ['authority/ca.key', 'cube1/broker.json', 'cube1/redis.acl', 'cube2/grafana.password'].map(
      read,
    )
    expect(after).toEqual(before)
    expect(read('cube1/redis.crt')).not.toBe(old)
  })

  it.each([
    { args: [], says: 'NAME-OR-ADDRESS' },
    { args: ['two words'], says: 'neither a host name nor an IP address' },
    { args: ['999.1.1.1'], says: 'no certificate could be made for 999.1.1.1' },
  ])('says what is wrong with $args', async ({ args, says }) => {
    const folder = mkdtempSync(join(tmpdir(), 'nustream-secrets-'))
    const given = args.length > 0 ? ['--dir', folder, ...args] : []
    await expect(run('deploy/certs.sh', given)).rejects.toMatchObject({
      stderr: expect.stringContaining(says),
    })
    rmSync(folder, { recursive: true })
  })
})
