import { EventError, UnavailableError, UsageError } from '../../errors.ts'
import type { NamedTensors } from '../tensors/tensor.ts'
import { type HttpAnswer, type HttpCaller, openHttpCaller, refusal } from './http-caller.ts'
import { decodeInferAnswer, encodeInferRequest, type InferAnswer, type TensorBody } from './tensor-wire.ts'

const READY_TIMEOUT_MS = 5_000
const HEADER_LENGTH = 'inference-header-content-length'

export interface TensorServerOptions {
  readonly token: string | undefined
  readonly ca: string | Buffer | undefined
  readonly timeoutMs: number
  readonly concurrency: number
}

export interface TensorCall {
  readonly outputs: readonly string[]
  /** Of the run, for messages. */
  readonly events: number
  readonly signal: AbortSignal | undefined
  readonly traceparent: string | undefined
}

/** One model of a server that speaks the Open Inference Protocol over HTTP: Triton, KServe, MLServer, our own. */
export class TensorServer {
  readonly #caller: HttpCaller
  readonly #path: string
  readonly #timeoutMs: number
  /** Undefined until the server has said whether it takes tensors as bytes. */
  #isBinary: boolean | undefined

  /** @throws UsageError `flag_invalid` when the URL is none */
  constructor(url: string, modelName: string, { token, ca, timeoutMs, concurrency }: TensorServerOptions) {
    const { base, path } = readUrl(url, modelName)
    this.#caller = openHttpCaller(base, { concurrency, token, ca })
    this.#path = path
    this.#timeoutMs = timeoutMs
  }

  get name(): string {
    return this.#caller.name
  }

  /** @throws UnavailableError unless the model can be asked now */
  async ready(): Promise<void> {
    const answer = await this.#get(`${this.#path}/ready`)
    if (answer.status !== 200) throw this.#notThere(answer)
    this.#isBinary ??= await this.#readIsBinary()
  }

  /**
   * Reads the tensors before it returns its promise.
   * @throws UnavailableError when the server is away or has too much to do, EventError when it refuses these tensors
   */
  async run(
    inputs: NamedTensors,
    { outputs, events, signal, traceparent }: TensorCall,
  ): Promise<InferAnswer> {
    const request = encodeInferRequest(inputs, outputs, this.#isBinary ?? false)
    const answer = await this.#ask(request, { signal, traceparent })
    const refused = refusalOf(this.name, answer, events)
    if (refused === undefined) return decodeInferAnswer(bodyOf(answer))
    if (!(refused instanceof EventError)) throw refused
    // A server that starts or stops may answer anything. The refusal counts only if it is ready and refuses again.
    await this.ready()
    const again = await this.#ask(request, { signal, traceparent })
    const refusedAgain = refusalOf(this.name, again, events)
    if (refusedAgain !== undefined) throw refusedAgain
    return decodeInferAnswer(bodyOf(again))
  }

  async #ask(
    { body, headerLength }: TensorBody,
    { signal, traceparent }: Pick<TensorCall, 'signal' | 'traceparent'>,
  ): Promise<HttpAnswer> {
    const isBinary = headerLength !== undefined
    const answer = await this.#caller.call({
      method: 'POST',
      path: `${this.#path}/infer`,
      type: isBinary ? 'application/octet-stream' : 'application/json',
      headers: isBinary ? { [HEADER_LENGTH]: `${headerLength}` } : {},
      body,
      timeoutMs: this.#timeoutMs,
      traceparent,
      signal,
    })
    // Servers load models while they run: what is not there yet is waited for.
    if (answer.status === 404) throw this.#notThere(answer)
    return answer
  }

  close(): void {
    this.#caller.close()
  }

  /** The extensions are what a server says of itself at /v2; one that says nothing gets JSON, which all understand. */
  async #readIsBinary(): Promise<boolean> {
    const { status, body } = await this.#get('v2')
    if (status !== 200) return false
    try {
      const { extensions }: { extensions?: unknown } = JSON.parse(Buffer.from(body).toString()) ?? {}
      return Array.isArray(extensions) && extensions.includes('binary_tensor_data')
    } catch {
      return false
    }
  }

  #get(path: string): Promise<HttpAnswer> {
    return this.#caller.call({ method: 'GET', path, timeoutMs: READY_TIMEOUT_MS })
  }

  #notThere(answer: HttpAnswer): Error {
    if (answer.status !== 404 && answer.status !== 400) return refusal(this.name, answer, 0)
    return new UnavailableError('model_unreachable', `${this.name} has no model at ${this.#path}, or not yet`)
  }
}

function refusalOf(name: string, answer: HttpAnswer, events: number): Error | undefined {
  return answer.status === 200 ? undefined : refusal(name, answer, events)
}

function bodyOf({ body, headers }: HttpAnswer): TensorBody {
  const length = headers[HEADER_LENGTH]
  return { body, headerLength: length === undefined ? undefined : Number(length) }
}

/** `http://HOST:PORT/v2/models/NAME[/versions/VERSION]`; without a path the model has the name of its manifest. */
function readUrl(url: string, modelName: string): { base: URL; path: string } {
  const parsed = URL.parse(url)
  const [, before = '', path = ''] =
    /^(.*?)\/?(v2\/models\/.+?)?(?:\/infer)?\/?$/.exec(parsed?.pathname ?? '') ?? []
  if (!parsed || !/^https?:$/.test(parsed.protocol)) {
    throw new UsageError(
      'flag_invalid',
      `"${url}" is no URL of a model server; it looks like http://127.0.0.1:8000/v2/models/NAME`,
    )
  }
  parsed.pathname = before
  return { base: parsed, path: path || `v2/models/${encodeURIComponent(modelName)}` }
}
