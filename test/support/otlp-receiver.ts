import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import type { Owner } from './redis.ts'

/** A span in OTLP's JSON form (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). */
export interface ReceivedSpan {
  readonly service: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  /** Undefined or empty for the first span of a trace. */
  readonly parentSpanId?: string
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[]
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status?: { readonly code?: number; readonly message?: string }
}

export interface OtlpReceiver {
  /** Base address for --otlp. */
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  readonly requests: () => number
}

interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: ReceivedSpan['attributes'] }
    readonly scopeSpans: readonly { readonly spans: readonly Omit<ReceivedSpan, 'service'>[] }[]
  }[]
}

/** A collector that stores received spans, or with `silent` accepts requests and never answers. */
export async function startOtlpReceiver(owner: Owner, { silent = false } = {}): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  let requests = 0
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    requests++
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (silent) return
    const body = Buffer.concat(chunks)
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
    if (request.url === '/v1/traces') spans.push(...toSpans(JSON.parse(text.toString())))
    response.writeHead(request.url === '/v1/traces' ? 200 : 404, { 'content-type': 'application/json' })
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  owner.onTestFinished(async () => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, spans, requests: () => requests }
}

function toSpans({ resourceSpans }: ExportRequest): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(attributeOf(resource.attributes, 'service.name'))
    return scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ service, ...span })))
  })
}

export function attributeOf(attributes: ReceivedSpan['attributes'], key: string): unknown {
  const found = attributes.find((attribute) => attribute.key === key)
  return found && Object.values(found.value)[0]
}
