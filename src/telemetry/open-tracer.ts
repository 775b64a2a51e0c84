import type { Logger } from 'pino'
import { UsageError } from '../errors.ts'
import { NO_TRACER, type Tracer } from './tracing.ts'

export interface TracingOptions {
  /** Base address of an OTLP collector that speaks HTTP, such as http://127.0.0.1:4318. None: no traces. */
  readonly url?: string | undefined
  /** Share of the traces that are kept, 0 to 1; a trace that another part began is kept or not as that part said. */
  readonly ratio?: number | undefined
  readonly role: string
  readonly instance: string
  readonly version: string
  readonly log?: Logger
}

/**
 * Where spans go: nowhere without a URL, and then nothing of OpenTelemetry is loaded.
 * @throws UsageError `flag_invalid` when the URL is none
 */
export async function openTracer(options: TracingOptions): Promise<Tracer> {
  const { url } = options
  if (url === undefined || url === '') return NO_TRACER
  const target = toTracesUrl(url)
  const { OtlpTracer } = await import('./tracing-otlp.ts')
  return new OtlpTracer(target, options)
}

/** OTLP over HTTP puts the signal behind the base address (https://opentelemetry.io/docs/specs/otlp/#otlphttp-request). */
function toTracesUrl(url: string): string {
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new UsageError(
      'flag_invalid',
      `"${url}" is no address of an OTLP collector; it looks like http://127.0.0.1:4318`,
    )
  if (!parsed.pathname.endsWith('/v1/traces'))
    parsed.pathname = `${parsed.pathname.replace(/\/$/, '')}/v1/traces`
  return parsed.href
}
