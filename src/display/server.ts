import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import type { Logger } from 'pino'
import { createHostCheck, type HostRules } from '../telemetry/access.ts'
import { serveTelemetry, TELEMETRY_PATHS, type TelemetryOptions } from '../telemetry/server.ts'
import type { Browsers } from './browsers.ts'
import type { Refusal } from './messages.ts'
import { PageToken } from './token.ts'
import type { View } from './view.ts'

export interface DisplayServerOptions extends HostRules, Pick<TelemetryOptions, 'registry' | 'health'> {
  readonly view: View
  readonly browsers: Browsers
  /** Tokens, separated by commas or white space. A visitor must know one of them; undefined opens the page to all. */
  readonly token?: string | undefined
  /** Folder of the built page. */
  readonly pageFolder?: string
  readonly log: Logger
}

/** Sent with every response: the page may load its own files only. */
const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "worker-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const

const BODY_BYTES_MAX = 4 * 1024
const CONNECTIONS_MAX = 1_024

/** The page, its API, /metrics and /health as a Fastify instance that does not listen yet. */
export function buildDisplayServer(options: DisplayServerOptions): FastifyInstance {
  const { log } = options
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    // A stream never ends by itself; closing must not wait for it.
    forceCloseConnections: true,
    requestTimeout: 10_000,
    keepAliveTimeout: 10_000,
    exposeHeadRoutes: false,
  })
  app.server.maxConnections = CONNECTIONS_MAX
  const refusalOf = createHostCheck(options)
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(HEADERS)
    // Probes and Prometheus use any host name, and their answers hold no secret.
    const isProbe = TELEMETRY_PATHS.some((path) => path === request.routeOptions.url)
    const refusal = isProbe ? undefined : refusalOf(request.headers)
    if (refusal === undefined) done()
    else refuse(reply, 403, refusal)
  })
  app.addHook('preClose', (done) => {
    options.browsers.close()
    done()
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500
    if (status >= 500) log.error({ err: error }, 'display request failed')
    refuse(reply, status, status >= 500 ? 'internal error' : error.message)
  })
  const token = new PageToken(options.token)
  apiRoutes(app, options, token)
  telemetryRoutes(app, options)
  pageRoutes(app, options, token)
  return app
}

function apiRoutes(app: FastifyInstance, { view, browsers }: DisplayServerOptions, token: PageToken): void {
  app.post('/api/token', (request, reply) => {
    const given = tokenOf(request.body)
    if (given === undefined) return refuse(reply, 400, 'expected the JSON object {"token": "…"}')
    if (!token.isRight(given)) return refuse(reply, 401, 'the token is not valid')
    return reply.code(204).header('set-cookie', token.cookie(given)).send()
  })
  app.register((guarded, _options, done) => {
    guarded.addHook('onRequest', (request, reply, next) => {
      reply.header('cache-control', 'no-store')
      if (token.allows(request.headers)) next()
      else refuse(reply, 401, 'a token is required')
    })
    guarded.get('/api/snapshot', (_request, reply) => sendJson(reply, view.snapshot()))
    guarded.get<{ Params: { key: string } }>('/api/events/:key', (request, reply) => {
      const event = view.event(request.params.key)
      const { eventsMax } = view.settings
      if (!event) return refuse(reply, 404, `this event is not among the last ${eventsMax} that were sampled`)
      return sendJson(reply, JSON.stringify(event))
    })
    guarded.get('/api/stream', (_request, reply) => {
      if (browsers.isFull) return refuse(reply, 503, 'too many browsers are connected')
      openStream(reply)
      browsers.add(reply.raw, view.hello())
      return reply
    })
    done()
  })
}

/** Detaches the response from Fastify and writes to it until one side ends it. */
function openStream(reply: FastifyReply): void {
  reply.hijack()
  // Fastify writes its headers only when it sends the response itself.
  for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value ?? '')
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    // A proxy that compresses or buffers would hold events back until its buffer is full.
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  })
}

function telemetryRoutes(app: FastifyInstance, options: DisplayServerOptions): void {
  for (const path of TELEMETRY_PATHS) {
    for (const method of ['GET', 'HEAD'] as const) {
      app.route({
        method,
        url: path,
        handler: (request, reply) => {
          reply.hijack()
          void serveTelemetry(request.raw, reply.raw, options)
        },
      })
    }
  }
}

function pageRoutes(app: FastifyInstance, options: DisplayServerOptions, token: PageToken): void {
  const files = readPageFiles(options.pageFolder ?? PAGE_FOLDER)
  if (!files) options.log.warn('the page is not built: run `npm run build`')
  app.route<{ Querystring: { token?: string } }>({
    method: ['GET', 'HEAD'],
    url: '/',
    handler: (request, reply) => {
      const given = request.query.token
      if (typeof given === 'string' && token.isRight(given))
        return reply.header('set-cookie', token.cookie(given)).redirect(withoutToken(request.url), 303)
      return sendPage(request, reply, files)
    },
  })
  app.route({
    method: ['GET', 'HEAD'],
    url: '/*',
    handler: (request, reply) => sendPage(request, reply, files),
  })
}

function sendPage(
  request: FastifyRequest,
  reply: FastifyReply,
  files: ReadonlyMap<string, PageFile> | undefined,
): FastifyReply {
  if (!files && request.url.split('?', 1)[0] === '/') return sendNotBuilt(reply)
  const file = files?.get(request.url.split('?', 1)[0])
  if (!file) return refuse(reply, 404, 'no such page; the display is at /')
  reply.headers({ 'cache-control': file.cacheControl, etag: file.etag })
  if (request.headers['if-none-match'] === file.etag) return reply.code(304).send()
  return reply.type(file.type).send(file.bytes)
}

function sendNotBuilt(reply: FastifyReply): FastifyReply {
  const why =
    'The page is not built. In a clone of nustream run <code>npm run build</code>, then start again.'
  return reply
    .code(503)
    .type('text/html; charset=utf-8')
    .send(`<!doctype html><html lang="en"><title>nustream</title><h1>nustream</h1><p>${why}</p></html>\n`)
}

function sendJson(reply: FastifyReply, json: string): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(json)
}

function refuse(reply: FastifyReply, status: number, error: string): FastifyReply {
  const refusal: Refusal = { error }
  return reply.code(status).send(refusal)
}

function tokenOf(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || !('token' in body)) return undefined
  return typeof body.token === 'string' ? body.token : undefined
}

/** The address without the token; relative, so that it also works below a proxy's path. */
function withoutToken(url: string): string {
  const query = new URLSearchParams(url.split('?')[1])
  query.delete('token')
  return query.size === 0 ? './' : `./?${query}`
}

export interface PageFile {
  readonly bytes: Buffer
  readonly type: string
  readonly etag: string
  readonly cacheControl: string
}

/** Folder of the built page (`web/`), in a clone and in the package. */
export const PAGE_FOLDER = fileURLToPath(new URL('../../web/dist', import.meta.url))

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
}

/** Vite puts a hash of the content into these names, so a file of a name never changes. */
const HASHED = /^\/assets\/.+-[\w-]{8}\.\w+$/

/**
 * All files of the built page by their URL path, held in memory (about 1 MB). Only these paths are served, so no path
 * leads out of the folder. Undefined if the page is not built.
 */
export function readPageFiles(folder: string): ReadonlyMap<string, PageFile> | undefined {
  const files = new Map<string, PageFile>()
  try {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const type = TYPES[extname(entry.name)]
      if (!entry.isFile() || type === undefined) continue
      const path = join(entry.parentPath, entry.name)
      const url = `/${relative(folder, path).split(sep).join('/')}`
      files.set(url, toPageFile(readFileSync(path), type, HASHED.test(url)))
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  const index = files.get('/index.html')
  if (!index) return undefined
  return files.set('/', index)
}

function toPageFile(bytes: Buffer, type: string, isForEver: boolean): PageFile {
  return {
    bytes,
    type,
    etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 20)}"`,
    cacheControl: isForEver ? 'public, max-age=31536000, immutable' : 'no-cache',
  }
}
