import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { z } from 'zod'
import { FAULTS, startHostileServer } from '../../test/support/hostile-mlflow.ts'
import { MlflowHttp, readMlflowUrl } from './http.ts'

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

describe('readMlflowUrl()', () => {
  it.each([
    { name: 'none', url: 'http://h:5000', given: {}, expected: undefined },
    {
      name: 'user and password of the URL',
      url: 'http://u:p%40w@h:5000',
      given: {},
      expected: basic('u:p@w'),
    },
    {
      name: 'user and password beside it',
      url: 'http://u:p@h:5000',
      given: { user: 'a', password: 'b' },
      expected: basic('a:b'),
    },
    {
      name: 'a token before all',
      url: 'http://u:p@h',
      given: { token: 't', user: 'a' },
      expected: 'Bearer t',
    },
  ])('takes credentials: $name', ({ url, given, expected }) => {
    expect(readMlflowUrl(url, given).authorization).toBe(expected)
  })

  it('keeps credentials out of the base and the name', () => {
    const { base, name } = readMlflowUrl('https://u:hush@h:5000/mlflow?x=1')
    expect(`${base.href} ${name}`).toBe('https://h:5000/mlflow/ MLflow at h:5000')
  })

  it.each([
    '',
    'h:5000',
    'file:///tmp/mlruns',
    'sqlite:///mlflow.db',
    'ftp://u:hush@h',
    'http://u:hu/hush@h:5000',
  ])('refuses "%s" without repeating a password', (url) => {
    expect(() => readMlflowUrl(url)).toThrow(/is no URL of an MLflow tracking server/)
    expect(() => readMlflowUrl(url)).not.toThrow(/hush/)
  })
})

describe('readMlflowUrl() with a percent sign that begins no escape', () => {
  it.each(['http://user:pa%ss@h', 'http://user:100%@h', 'http://us%er:pa-ss@h', 'http://user:%zz@h'])(
    'says in %s what to write instead, and not the password',
    (url) => {
      expect(() => readMlflowUrl(url)).toThrow(
        /^the (user|password) in MLflow's URL has a "%" that begins no escape: write it as %25, or set MLFLOW_TRACKING_/,
      )
      expect(() => readMlflowUrl(url)).not.toThrow(/pa%ss|100%@|pa-ss|%zz/)
    },
  )

  it('does not look at the URL where user and password are given beside it', () => {
    const given = { user: 'a', password: 'b%c' }
    expect(readMlflowUrl('http://u%:p%@h', given).authorization).toBe(basic('a:b%c'))
  })
})

const anything = z.object({ x: z.string() })

async function answering(t: TestContext, status: number, body: unknown) {
  const seen: (string | undefined)[] = []
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization)
    response.writeHead(status).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.onTestFinished(() => void server.close())
  // A server on a port has an AddressInfo.
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

describe('MlflowHttp', () => {
  it.each(FAULTS)('a server that %s is unavailable within the deadline', async (fault) => {
    const { url } = await startHostileServer({ onTestFinished }, fault)
    const startedAt = performance.now()
    const asked = new MlflowHttp(url, { timeoutMs: 400 }).get('x', {}, anything)
    await expect(asked).rejects.toMatchObject({ code: 'mlflow_unreachable' })
    expect(performance.now() - startedAt).toBeLessThan(10_000)
  })

  it('a server that is not there is unavailable', async () => {
    const asked = new MlflowHttp('http://127.0.0.1:9').get('x', {}, anything)
    await expect(asked).rejects.toMatchObject({ code: 'mlflow_unreachable' })
  })

  it('sends the token, and names the remedy where it is not taken', async (t) => {
    const { url, seen } = await answering(t, 401, {})
    const asked = new MlflowHttp(url, { token: 'hush' }).get('x', {}, anything)
    await expect(asked).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(/^(?!.*hush).*MLFLOW_TRACKING_TOKEN/),
    })
    expect(seen).toEqual(['Bearer hush'])
  })

  it.each([
    {
      body: 'Invalid Host header - possible DNS rebinding attack detected',
      says: /answers 403, "Invalid Host header - possible DNS rebinding attack detected"; start it with --allowed-hosts 127\.0\.0\.1:\d+ \(or MLFLOW_SERVER_ALLOWED_HOSTS\)/,
    },
    {
      body: 'Permission denied',
      says: /answers 403, "Permission denied"; the login is known, but lacks a permission/,
    },
  ])('quotes what comes with 403 and names its own remedy: $body', async ({ body, says }) => {
    const server = createServer((_request, response) => void response.writeHead(403).end(body))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    // A server on a port has an AddressInfo.
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    await expect(new MlflowHttp(url).get('x', {}, anything)).rejects.toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(says),
    })
  })

  it('tells a refusal from a failure', async (t) => {
    const { url } = await answering(t, 404, { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'no run' })
    await expect(new MlflowHttp(url).get('x', {}, anything)).rejects.toMatchObject({
      code: 'mlflow_refused',
      errorCode: 'RESOURCE_DOES_NOT_EXIST',
    })
  })

  it('the signal ends a call with its own reason', async (t) => {
    const { url } = await startHostileServer(t, 'hangs')
    const stopping = new AbortController()
    const asked = new MlflowHttp(url).get('x', {}, anything, { signal: stopping.signal })
    stopping.abort(new Error('stopped'))
    await expect(asked).rejects.toThrow('stopped')
  })
})
