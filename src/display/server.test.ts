import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, it, type TestContext } from 'vitest'
import { drawnEvent } from '../../test/support/drawn-event.ts'
import { Browsers } from './browsers.ts'
import { displayMetrics } from './metrics.ts'
import { buildDisplayServer } from './server.ts'
import { View } from './view.ts'

const SETTINGS = { version: '1', eventsMax: 2, skyMax: 9, stripsMax: 9, pulsesMax: 9, sampleEveryMs: 500 }

function open(t: TestContext, options: { readonly token?: string; readonly isBuilt?: boolean } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-page-'))
  const pageFolder = join(folder, 'dist')
  if (options.isBuilt !== false) {
    mkdirSync(join(pageFolder, 'assets'), { recursive: true })
    writeFileSync(join(pageFolder, 'index.html'), '<!doctype html><title>page</title>')
    writeFileSync(join(pageFolder, 'assets/index-D4zz_x-1.js'), 'export {}')
    writeFileSync(join(pageFolder, 'notes.md'), 'a type of file that a page does not use')
  }
  writeFileSync(join(folder, 'secret.html'), 'secret')
  const registry = new Registry()
  const browsers = new Browsers(displayMetrics(registry), 3)
  const view = new View(SETTINGS, browsers)
  const health = () => ({ live: true, ready: false, details: {} })
  const log = pino({ level: 'silent' })
  const { token } = options
  const app = buildDisplayServer({ view, browsers, token, pageFolder, registry, health, log })
  t.onTestFinished(async () => {
    await app.close()
    rmSync(folder, { recursive: true })
  })
  return { app, view }
}

async function get(app: FastifyInstance, url: string, headers: Record<string, string> = {}) {
  return await app.inject({ url, headers })
}

/** The cookie that a browser stores after it has sent the token. */
async function cookieOf(app: FastifyInstance, token: string): Promise<string> {
  const { headers } = await app.inject({ method: 'POST', url: '/api/token', payload: { token } })
  return String(headers['set-cookie']).split(';')[0]
}

async function cookieName(app: FastifyInstance, token: string): Promise<string> {
  return (await cookieOf(app, token)).split('=', 1)[0]
}

describe('the page', () => {
  it('has a content security policy without inline scripts and other origins', async (t) => {
    const { app } = open(t)
    for (const url of ['/', '/nowhere', '/api/snapshot']) {
      const { headers } = await get(app, url)
      const policy = String(headers['content-security-policy'])
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("script-src 'self'")
      expect(policy).not.toContain('unsafe')
      expect(policy).not.toContain('http')
      expect(headers['x-content-type-options']).toBe('nosniff')
    }
  })

  it('is revalidated at each request; its hashed files are cached for ever', async (t) => {
    const { app } = open(t)
    const page = await get(app, '/')
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
    })
    const again = await get(app, '/', { 'if-none-match': String(page.headers['etag']) })
    expect(again.statusCode).toBe(304)
    const script = await get(app, '/assets/index-D4zz_x-1.js')
    expect(script.headers['content-type']).toBe('text/javascript; charset=utf-8')
    expect(script.headers['cache-control']).toContain('immutable')
  })

  it.for([
    '/../secret.html',
    '/%2e%2e/secret.html',
    '/..%2fsecret.html',
    '/assets/../../secret.html',
    '/assets/..%5c..%5csecret.html',
    '//secret.html',
    '/%00',
    '/notes.md',
    '/assets/',
    '/constructor',
  ])('does not lead out of its folder by %s', async (url, t) => {
    const { app } = open(t)
    const answer = await get(app, url)
    expect(answer.statusCode).toBeGreaterThanOrEqual(400)
    expect(answer.body).not.toContain('secret.html</')
    expect(answer.body).not.toBe('secret')
  })

  it('names the build command if it is not built', async (t) => {
    const { app } = open(t, { isBuilt: false })
    const page = await get(app, '/')
    expect(page.statusCode).toBe(503)
    expect(page.body).toContain('npm run build')
    expect((await get(app, '/api/snapshot')).statusCode).toBe(200)
  })

  it('is served together with /metrics and /health', async (t) => {
    const { app } = open(t)
    expect((await get(app, '/metrics')).body).toContain('nustream_display_browsers 0')
    expect((await get(app, '/health')).statusCode).toBe(503)
    expect((await get(app, '/health/live')).statusCode).toBe(200)
  })
})

describe('/api', () => {
  it('gives a snapshot of the window, and opens its events', async (t) => {
    const { app, view } = open(t)
    expect((await get(app, '/api/snapshot')).json()).toMatchObject({ events: [], newest: null })
    for (const id of ['1', '2', '-3']) view.addEvent(drawnEvent(id))
    const snapshot = (await get(app, '/api/snapshot')).json()
    expect(snapshot.events.map((row: { eventId: string }) => row.eventId)).toEqual(['2', '-3'])
    expect(snapshot.newest).toEqual(drawnEvent('-3'))
    expect((await get(app, '/api/events/-3~b')).json()).toEqual(drawnEvent('-3'))
    expect((await get(app, '/api/events/2')).json()).toEqual(drawnEvent('2'))
    const gone = await get(app, '/api/events/1~b')
    expect(gone.statusCode).toBe(404)
    expect(gone.json().error).toContain('2')
  })

  it('keeps the ages of processes current while the broker is unreachable', async (t) => {
    const { app, view } = open(t)
    const part = { role: 'up', instance: 'i', beatAtMs: 1_000, ageMs: 0, everyMs: 5_000, alive: true }
    view.setHealth({ atMs: 1_000, brokerUp: true, parts: [part] })
    view.setBrokerDown(9_000)
    expect((await get(app, '/api/snapshot')).json().health).toEqual({
      atMs: 9_000,
      brokerUp: false,
      parts: [{ ...part, ageMs: 8_000 }],
    })
  })

  it('requires the token, as cookie or bearer token, if one is set', async (t) => {
    const { app } = open(t, { token: 'owl' })
    for (const url of ['/api/snapshot', '/api/stream', '/api/events/1']) {
      const refused = await get(app, url)
      expect(refused.statusCode).toBe(401)
      expect(refused.json()).toHaveProperty('error')
    }
    expect((await get(app, '/')).statusCode).toBe(200)
    const name = await cookieName(app, 'owl')
    const wrong = [
      { authorization: 'Bearer owls' },
      { cookie: `${name}=owl` },
      { cookie: `${name}=` },
      { cookie: name },
    ]
    for (const headers of wrong) expect((await get(app, '/api/snapshot', headers)).statusCode).toBe(401)
    expect((await get(app, '/api/snapshot', { authorization: 'Bearer owl' })).statusCode).toBe(200)
  })

  it('exchanges the token for a cookie that scripts and other sites cannot use', async (t) => {
    const { app } = open(t, { token: 'owl' })
    const post = (payload: object) => app.inject({ method: 'POST', url: '/api/token', payload })
    expect((await post({ token: 'cat' })).statusCode).toBe(401)
    expect((await post({ toucan: 'owl' })).statusCode).toBe(400)
    const { statusCode, headers } = await post({ token: 'owl' })
    expect(statusCode).toBe(204)
    const cookie = String(headers['set-cookie'])
    expect(cookie).toMatch(/; HttpOnly; SameSite=Strict$/)
    expect(cookie).not.toContain('owl')
    expect((await get(app, '/api/snapshot', { cookie: cookie.split(';')[0] })).statusCode).toBe(200)
    expect((await get(app, '/api/snapshot', { cookie: `a=b; ${cookie.split(';')[0]}` })).statusCode).toBe(200)
  })

  it('accepts any of several tokens, so that one can be replaced', async (t) => {
    const { app } = open(t, { token: 'old, new' })
    for (const token of ['old', 'new']) {
      expect((await get(app, '/api/snapshot', { authorization: `Bearer ${token}` })).statusCode).toBe(200)
      expect((await get(app, '/api/snapshot', { cookie: await cookieOf(app, token) })).statusCode).toBe(200)
    }
    expect((await get(app, '/api/snapshot', { authorization: 'Bearer old,new' })).statusCode).toBe(401)
  })

  it('answers on a loopback address only under its own names, and never to pages of other sites', async (t) => {
    const { app } = open(t)
    const statusOf = async (url: string, headers: Record<string, string>) =>
      (await get(app, url, headers)).statusCode
    for (const url of ['/', '/api/snapshot', '/api/events/1', '/api/stream']) {
      expect(await statusOf(url, { host: 'rebound.example:8080' })).toBe(403)
      expect(await statusOf(url, { host: 'localhost:8080', origin: 'http://rebound.example' })).toBe(403)
    }
    for (const host of ['127.0.0.1:8080', 'localhost:8080', '[::1]:8080', 'LOCALHOST'])
      expect(await statusOf('/api/snapshot', { host })).toBe(200)
    expect(await statusOf('/api/snapshot', { host: 'localhost:8080', origin: 'http://localhost:8080' })).toBe(
      200,
    )
    expect(await statusOf('/health/live', { host: 'scraper.example' })).toBe(200)
    const refused = await get(app, '/', { host: 'rebound.example' })
    expect(refused.json().error).toContain('--allowed-hosts')
    expect(refused.headers['content-security-policy']).toBeDefined()
  })

  it('keeps a browser logged in to two displays of one host', async (t) => {
    const [owl, cat] = [open(t, { token: 'owl' }).app, open(t, { token: 'cat' }).app]
    const cookies = [await cookieOf(owl, 'owl'), await cookieOf(cat, 'cat')]
    // A browser stores cookies by name and sends all of a host to each of its ports.
    const stored = new Map(cookies.map((cookie) => [cookie.split('=', 1)[0], cookie]))
    const cookie = [...stored.values()].join('; ')
    expect((await get(owl, '/api/snapshot', { cookie })).statusCode).toBe(200)
    expect((await get(cat, '/api/snapshot', { cookie })).statusCode).toBe(200)
    expect((await get(cat, '/api/snapshot', { cookie: cookies[0] })).statusCode).toBe(401)
  })

  it('removes the token from the address of the page', async (t) => {
    const { app } = open(t, { token: 'owl' })
    const right = await get(app, '/?event=5&token=owl')
    expect(right.statusCode).toBe(303)
    expect(right.headers.location).toBe('./?event=5')
    expect(right.headers['set-cookie']).toBeDefined()
    const wrong = await get(app, '/?token=cat')
    expect(wrong.statusCode).toBe(200)
    expect(wrong.headers['set-cookie']).toBeUndefined()
  })
})
