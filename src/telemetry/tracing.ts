import type { Logger } from 'pino'

/** What kind of work a span is, as OpenTelemetry names them. */
export type SpanKind = 'internal' | 'producer' | 'consumer' | 'client' | 'server'

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>

export interface SpanOptions {
  /** The span that this one is part of, as a W3C traceparent; may belong to another process. Without one a trace begins. */
  readonly parent?: string | undefined
  /** Related spans of other traces. */
  readonly links?: readonly (string | undefined)[]
  readonly kind?: SpanKind
  readonly attributes?: SpanAttributes
  /** Milliseconds of `performance.now()`; now unless told. */
  readonly startMs?: number
}

/** A piece of work with its beginning and end. */
export interface Span {
  /** Names it to its parts in other processes (https://www.w3.org/TR/trace-context/). Undefined where there is no trace. */
  readonly traceparent: string | undefined
  set(attributes: SpanAttributes): void
  /** The work failed; the error is kept. */
  fail(error: unknown): void
  /** `endMs` as `startMs`. */
  end(endMs?: number): void
}

/** What a span does to a batch in the broker, as OpenTelemetry's conventions for messaging name it. */
export function messaging(operation: 'send' | 'process' | 'settle', batchId: string): SpanAttributes {
  return {
    'messaging.system': 'nustream',
    'messaging.operation.type': operation,
    'messaging.message.id': batchId,
  }
}

/** Where spans go. Never throws, never waits. */
export interface Tracer extends AsyncDisposable {
  start(name: string, options?: SpanOptions): Span
}

export interface TracingOptions {
  /** Base address of an OTLP collector that speaks HTTP, such as http://127.0.0.1:4318. Without one there are no traces. */
  readonly url?: string | undefined
  /** Share of the traces that are kept, 0 to 1. A trace that another part began is kept or dropped as that part decided. */
  readonly ratio?: number | undefined
  readonly role: string
  readonly instance: string
  readonly version: string
  readonly log?: Logger
}

/** Keeps no spans, and hands on the trace that it was given. */
export const NO_TRACER: Tracer = {
  start: (_name, { parent } = {}) => ({ traceparent: parent, set() {}, fail() {}, end() {} }),
  async [Symbol.asyncDispose]() {},
}

/** Does the work within a span, which fails with it. */
export async function traced<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    span.fail(error)
    throw error
  } finally {
    span.end()
  }
}

export interface TraceParent {
  readonly traceId: string
  readonly spanId: string
  readonly flags: number
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** The parts of a traceparent, or undefined where the text is not a valid one: a new trace begins then, as the standard says. */
export function parseTraceparent(text: string | undefined): TraceParent | undefined {
  const [, version = '', traceId = '', spanId = '', flags = '', more] = TRACEPARENT.exec(text ?? '') ?? []
  const isKnown = version === '00' ? more === undefined : version !== '' && version !== 'ff'
  if (!isKnown || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, flags: Number.parseInt(flags, 16) }
}

export function formatTraceparent({ traceId, spanId, flags }: TraceParent): string {
  return `00-${traceId}-${spanId}-${(flags & 1).toString(16).padStart(2, '0')}`
}
