import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import type { z } from 'zod'
import { UnavailableError, UsageError } from '../errors.ts'
import { maskSecrets } from '../telemetry/foreign-text.ts'

export interface MlflowCredentials {
  /** Sent as a bearer token; takes precedence over user and password. */
  readonly token?: string | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
}

/** Address and login of a tracking server. */
export interface MlflowAddress {
  /** Ends in a slash; holds no credentials. */
  readonly base: URL
  readonly authorization: string | undefined
  /** For messages and logs: without credentials. */
  readonly name: string
}

/**
 * Parses a tracking server's URL. `credentials` take precedence over user and password in the URL.
 * @throws UsageError `flag_invalid` when it is no http or https URL
 */
export function readMlflowUrl(url: string, credentials: MlflowCredentials = {}): MlflowAddress {
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new UsageError(
      'flag_invalid',
      `"${maskSecrets(url)}" is no URL of an MLflow tracking server; it looks like http://127.0.0.1:5000`,
    )
  const { token } = credentials
  const user = credentials.user ?? decoded(parsed.username, 'user')
  const password = credentials.password ?? decoded(parsed.password, 'password')
  const base = new URL(parsed.pathname.replace(/(?<!\/)\/*$/, '/'), parsed.origin)
  const basic = () => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const authorization = token ? `Bearer ${token}` : user !== '' ? basic() : undefined
  return { base, authorization, name: `MLflow at ${base.host}` }
}

/** @throws UsageError `flag_invalid` where a percent sign begins no escape; the text itself is not in the message */
function decoded(text: string, what: 'user' | 'password'): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    const variable = what === 'user' ? 'MLFLOW_TRACKING_USERNAME' : 'MLFLOW_TRACKING_PASSWORD'
    throw new UsageError(
      'flag_invalid',
      `the ${what} in MLflow's URL has a "%" that begins no escape: write it as %25, or set ${variable} instead`,
      { cause },
    )
  }
}

export interface CallOptions {
  /** From the first byte sent to the last received; 10 s unless told. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
}

export interface MlflowOptions extends MlflowCredentials {
  /** Deadline of every call that names none of its own. */
  readonly timeoutMs?: number
}

/** The tracking server understood the request and refuses it. `errorCode` is MLflow's own, such as RESOURCE_DOES_NOT_EXIST. */
export class MlflowRefusal extends UsageError {
  readonly errorCode: string

  constructor(errorCode: string, message: string) {
    super('mlflow_refused', message)
    this.errorCode = errorCode
  }
}

/** The longest answer that is read as JSON; a listing of a thousand files has 200 kB. */
const JSON_BYTES_MAX = 8 * 1024 * 1024
/** A download may take long, but not stand still. */
const STALL_MS = 30_000

/**
 * HTTP client of one tracking server. Calls have a deadline, and responses a maximum size.
 * All methods @throws UnavailableError `mlflow_unreachable` when no usable answer comes in time: asking again may help;
 * UsageError `unauthorized`, or MlflowRefusal, when it will not; the signal's reason once it aborts
 */
export class MlflowHttp {
  readonly name: string
  readonly base: URL
  readonly #address: MlflowAddress
  readonly #timeoutMs: number

  constructor(url: string, { timeoutMs = 10_000, ...credentials }: MlflowOptions = {}) {
    this.#address = readMlflowUrl(url, credentials)
    this.name = this.#address.name
    this.base = this.#address.base
    this.#timeoutMs = timeoutMs
  }

  /** GET of the REST API, checked by a schema. Undefined values of the query are left out. */
  get<T>(
    path: string,
    query: Readonly<Record<string, string | undefined>>,
    schema: z.ZodType<T>,
    options: CallOptions = {},
  ): Promise<T> {
    const given = Object.entries(query).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value] as [string, string]],
    )
    const search = new URLSearchParams(given)
    return this.#json(`api/2.0/${path}?${search}`, { method: 'GET' }, schema, options)
  }

  /** POST of the REST API, checked by a schema. */
  post<T>(path: string, body: unknown, schema: z.ZodType<T>, options: CallOptions = {}): Promise<T> {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }
    return this.#json(`api/2.0/${path}`, init, schema, options)
  }

  /** Body of a path beside the REST API, such as `health`. */
  async text(path: string, options: CallOptions = {}): Promise<string> {
    return this.#call(path, { method: 'GET' }, options, (response) => readText(response))
  }

  /** Sends bytes to the artefact proxy; a path below it, each part already encoded. */
  async put(path: string, body: Blob, options: CallOptions = {}): Promise<void> {
    const headers = { 'content-type': 'application/octet-stream' }
    await this.#call(path, { method: 'PUT', headers, body }, options, (response) => readText(response))
  }

  /** Writes an answer's bytes to a file and gives their number. @throws UnavailableError also where it is longer than `bytesMax` */
  async download(
    path: string,
    file: string,
    { bytesMax, ...options }: CallOptions & { readonly bytesMax: number },
  ): Promise<number> {
    return this.#call(path, { method: 'GET' }, options, async ({ body }) => {
      let bytes = 0
      const stalled = new AbortController()
      const watch = () => setTimeout(() => stalled.abort(new Error('the download stands still')), STALL_MS)
      let timer = watch()
      const watched = async function* (source: AsyncIterable<Uint8Array>) {
        for await (const chunk of source) {
          clearTimeout(timer)
          timer = watch()
          bytes += chunk.length
          if (bytes > bytesMax) throw new Error(`a file has more than the ${bytesMax} bytes expected`)
          yield chunk
        }
      }
      try {
        if (body) await pipeline(body, watched, createWriteStream(file), { signal: stalled.signal })
      } finally {
        clearTimeout(timer)
      }
      return bytes
    })
  }

  async #json<T>(path: string, init: RequestInit, schema: z.ZodType<T>, options: CallOptions): Promise<T> {
    const text = await this.#call(path, init, options, (response) => readText(response))
    const value = parseJson(text)
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed.data
    throw this.#unavailable(
      `answered ${path.replace(/\?.*/, '')} with something that is not MLflow's: ${text.slice(0, 80)}`,
    )
  }

  async #call<T>(
    path: string,
    init: RequestInit,
    { timeoutMs = this.#timeoutMs, signal }: CallOptions,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    const late = AbortSignal.timeout(timeoutMs)
    const { authorization, base } = this.#address
    try {
      const response = await fetch(new URL(path, base), {
        ...init,
        // A redirected POST would become a GET, and credentials would go to an unknown server.
        redirect: 'manual',
        signal: signal ? AbortSignal.any([late, signal]) : late,
        headers: { ...init.headers, ...(authorization && { authorization }) },
      })
      if (response.ok) return await read(response)
      throw await this.#refusal(response)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof UsageError || error instanceof UnavailableError) throw error
      if (late.aborted) throw this.#unavailable(`gave no answer within ${timeoutMs / 1000} s`, error)
      throw this.#unavailable(`cannot be reached: ${reasonOf(error)}`, error)
    }
  }

  async #refusal(response: Response): Promise<Error> {
    const { status } = response
    const text = await readText(response)
    if (status === 401)
      return new UsageError(
        'unauthorized',
        `${this.name} takes no such token, or user and password (401); set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD`,
      )
    if (status === 403) return this.#forbidden(text)
    const { error_code: code, message } = (parseJson(text) ?? {}) as {
      error_code?: unknown
      message?: unknown
    }
    const isRefusal = status >= 400 && status < 500 && status !== 408 && status !== 429
    if (isRefusal && typeof code === 'string')
      return new MlflowRefusal(code, `${this.name} refuses: ${String(message).slice(0, 500)} (${code})`)
    return this.#unavailable(`answered ${status}: ${text.slice(0, 120)}`)
  }

  /** The server does not know the host name, or the login lacks a permission. */
  #forbidden(text: string): UsageError {
    const quoted = text.replace(/\s+/g, ' ').trim().slice(0, 200)
    const remedy = /host header|rebinding/i.test(text)
      ? `start it with --allowed-hosts ${this.base.host} (or MLFLOW_SERVER_ALLOWED_HOSTS), as MLflow from 3.5 on demands`
      : 'the login is known, but lacks a permission: have it granted there, or log in as another user'
    return new UsageError('unauthorized', `${this.name} answers 403, "${quoted}"; ${remedy}`)
  }

  #unavailable(what: string, cause?: unknown): UnavailableError {
    return new UnavailableError('mlflow_unreachable', `${this.name} ${what}`, { cause })
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > JSON_BYTES_MAX) throw new Error(`the answer has more than ${JSON_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** `fetch` puts the reason into the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return cause instanceof Error ? cause.message || code : String(cause)
}
