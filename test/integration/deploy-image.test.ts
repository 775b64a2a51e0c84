import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, type TestContext } from 'vitest'
import { settingsOf } from '../support/settings-of.ts'
import { startServer } from '../support/start-server.ts'

const run = promisify(execFile)
const dockerfile = readFileSync('Dockerfile', 'utf8')

describe('the image', () => {
  it('is built on the Node that package.json asks for, in two stages', () => {
    const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } }
    const [, major] = /^ARG NODE_IMAGE=node:(\d+)/m.exec(dockerfile) ?? []
    expect(Number(major)).toBe(Number(engines.node.replace(/\D/g, '')))
    expect(dockerfile.match(/^FROM /gm)).toHaveLength(2)
  })

  it('runs as a user with a number, as Kubernetes must see that it is not root', () => {
    expect(dockerfile).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m)
  })

  it('keeps models of a registry in folders that any user may write, also with a read-only root and a tmpfs on /tmp', () => {
    expect(dockerfile).toMatch(/^ENV .*(?:\\\n.*)*NUSTREAM_MODEL_CACHE=\/tmp\//m)
    expect(dockerfile).toContain('mkdir /cache && chmod 1777 /cache')
  })

  it('copies only what is there and what .dockerignore lets through', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths]) =>
      paths.split(' '),
    )
    const letThrough = readFileSync('.dockerignore', 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
    for (const path of copied) {
      expect(existsSync(path), path).toBe(true)
      expect(letThrough).toContain(`!${path}`)
    }
  })

  it('opens the ports that the roles listen on', async () => {
    const [, exposed] = /^EXPOSE (.+)$/m.exec(dockerfile) ?? []
    const ports = Object.values(healthPorts()).map(String)
    expect(exposed.split(' ').toSorted()).toEqual([...new Set(ports)].toSorted())
  })
})

describe('the health check of the image', () => {
  it.each([
    ['emit', { NUSTREAM_BROKER: 'redis://h' }],
    ['consume', { NUSTREAM_BROKER: 'redis://h' }],
    ['serve', {}],
    ['archive', { NUSTREAM_BROKER: 'redis://h', NUSTREAM_OUT: 'x' }],
  ])('knows the port of %s', async (role, environment) => {
    expect((await settingsOf(role, environment))['port']).toBe(healthPorts()[role])
  })

  it.each([
    {
      name: 'a part that is well',
      status: 200,
      words: (port: number) => ['serve', '--port', `${port}`],
      code: 0,
    },
    {
      name: 'a part that is not ready',
      status: 503,
      words: (port: number) => ['serve', `--port=${port}`],
      code: 1,
    },
  ])('tells $name', async ({ status, words, code }) => {
    const asked: (string | undefined)[] = []
    await using server = await listening((url) => {
      asked.push(url)
      return status
    })
    expect(await check(words(server.port))).toBe(code)
    expect(asked).toEqual(['/health'])
  })

  it('asks a part that speaks TLS by TLS', async (test) => {
    const { url } = await startServer(test, { tls: await selfSigned(test) })
    const words = ['serve', '--tls-key', 'k', '--tls-cert', 'c', '--port', new URL(url).port]
    expect(await check(words)).toBe(0)
    expect(await check(['serve', '--port', new URL(url).port])).toBe(1)
  })

  it('finds the port in the environment too', async () => {
    await using server = await listening(() => 200)
    expect(await check(['consume'], { NUSTREAM_PORT: `${server.port}` })).toBe(0)
  })

  it('tells a part that does not answer at all', async () => {
    const { port } = await (async () => {
      await using server = await listening(() => 200)
      return server
    })()
    expect(await check(['serve', '--port', `${port}`])).toBe(1)
  })

  it('leaves commands without /health alone', async () => {
    expect(await check(['evaluate', '--data', 'x'])).toBe(0)
  })
})

function healthPorts(): Readonly<Record<string, number>> {
  const text = readFileSync('deploy/health.sh', 'utf8')
  return Object.fromEntries(
    [...text.matchAll(/\[(\w+)\]=(\d+)/g)].map(([, role, port]) => [role, Number(port)]),
  )
}

/** Exit code of the check for a process that was started with these words. */
async function check(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-health-'))
  try {
    const cmdline = join(folder, 'cmdline')
    writeFileSync(cmdline, ['node', '/app/dist/cli/main.js', ...words, ''].join('\0'))
    const child = run('deploy/health.sh', [cmdline], {
      env: { PATH: process.env['PATH'], ...env },
    })
    return await child.then(
      () => 0,
      (error: { code: number }) => error.code,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function selfSigned(owner: TestContext): Promise<{ key: Buffer; cert: Buffer }> {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-tls-'))
  owner.onTestFinished(() => rmSync(folder, { recursive: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=elsewhere']
  await run('openssl', [...made, '-keyout', key, '-out', cert])
  return { key: readFileSync(key), cert: readFileSync(cert) }
}

async function listening(answer: (url: string | undefined) => number) {
  const server = createServer((request, response) => response.writeHead(answer(request.url)).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A server on a port has an AddressInfo.
  const { port } = server.address() as AddressInfo
  return { port, [Symbol.asyncDispose]: async () => void server.close() }
}
