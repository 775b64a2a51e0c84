import { z } from 'zod'
import type { DriftReference } from '../../drift/reference.ts'
import { EventError, UnavailableError, UsageError } from '../../errors.ts'
import { type EventBatch, eventCount, sliceEvents } from '../../event/event-batch.ts'
import { encodeEventBatch } from '../../event/wire.ts'
import { allocateDirections, concatDirections, scatterDirections, setFault } from '../directions.ts'
import type { Inference, InferOptions, Inferrer, ModelIdentity, ModelServerStatus } from '../inferrer.ts'
import { isolate, type ModelFailure } from '../isolate.ts'
import { referenceSchema } from '../model/manifest.ts'
import { madeUpEvents } from '../network/warm-up.ts'
import { decodeAnswer } from './answer-wire.ts'
import { Endpoints } from './endpoints.ts'
import {
  GatewayTimeout,
  type HttpAnswer,
  type HttpCaller,
  NoAnswerInTime,
  openHttpCaller,
  refusal,
  throwUnlessAway,
  unauthorized,
} from './http-caller.ts'

export interface HttpInferrerOptions {
  /** Bearer token of the model servers. */
  readonly token?: string | undefined
  /** For one request, from the first byte sent to the last received. Default 30 s. */
  readonly timeoutMs?: number | undefined
  /** A request without an answer for so long goes to another server too; 0: never. Default: the 95th percentile of late. */
  readonly hedgeMs?: number | undefined
  /** Batches asked for at once; each has a connection of its own to its server, which is kept open. */
  readonly concurrency?: number | undefined
  /** Certificate of the authority that signed the server's, where it is none that Node knows. */
  readonly ca?: string | Buffer | undefined
}

const ARROW_TYPE = 'application/vnd.apache.arrow.stream'
const READY_TIMEOUT_MS = 5_000
const CONTROL_PULSES = 64
/** Waits for a server during the search for an event at fault, in timeouts. */
const PATIENCE = 3
const UNKNOWN: ModelIdentity = { name: 'unknown', version: 'unknown' }

/**
 * One or more nustream model servers as an inferrer: batches travel as Arrow to `POST /predict`. Servers that are away do
 * not fail the opening: `infer` and `ready` report it, and the model's name is "unknown" until one has answered.
 * @param urls of servers with the same model, separated by commas
 * @throws UsageError when a URL is none, or a server does not take the token
 */
export async function openHttpInferrer(urls: string, options: HttpInferrerOptions = {}): Promise<Inferrer> {
  const { concurrency = 4, timeoutMs = 30_000, hedgeMs, token, ca } = options
  const bases = urls.split(',').map((url) => toBase(url.trim()))
  const callers = bases.map((base) => openHttpCaller(base, { concurrency, token, ca }))
  const inferrer = new HttpInferrer(callers, { concurrency, timeoutMs, hedgeMs })
  try {
    await inferrer.open()
  } catch (error) {
    await inferrer[Symbol.asyncDispose]()
    throw error
  }
  return inferrer
}

function toBase(url: string): URL {
  const parsed = URL.parse(url)
  if (parsed && /^https?:$/.test(parsed.protocol)) return parsed
  throw new UsageError(
    'flag_invalid',
    `"${url}" is no URL of a model server; it looks like http://127.0.0.1:8500`,
  )
}

class HttpInferrer implements Inferrer {
  readonly concurrency: number
  readonly #endpoints: Endpoints
  readonly #timeoutMs: number
  #model = UNKNOWN
  #reference: DriftReference | undefined
  /** Events of one request: half of what a server was too slow for, twice of what it does with ease. */
  #eventsMax = Number.POSITIVE_INFINITY

  constructor(
    callers: readonly HttpCaller[],
    options: { concurrency: number; timeoutMs: number; hedgeMs: number | undefined },
  ) {
    this.concurrency = options.concurrency * callers.length
    this.#timeoutMs = options.timeoutMs
    this.#endpoints = new Endpoints(callers, {
      hedgeMs: options.hedgeMs,
      ready: (server) => this.#checkHealth(server),
    })
  }

  get model(): ModelIdentity {
    return this.#model
  }

  get reference(): DriftReference | undefined {
    return this.#reference
  }

  async infer(batch: EventBatch, options: InferOptions = {}): Promise<Inference> {
    const directions = allocateDirections(eventCount(batch))
    let { model } = this
    await isolate(eventCount(batch), {
      signal: options.signal,
      onRetry: options.onRetry,
      patienceMs: PATIENCE * this.#timeoutMs,
      failureOf,
      answer: async (from, to) => {
        const part = await this.#inferInParts(sliceEvents(batch, from, to), options)
        // A server that swaps its model between two parts counts as the model that answered last.
        model = part.model
        scatterDirections(directions, part, from)
      },
      setFault: (index, message) => setFault(directions, index, 'model_failed', message),
      ready: (failure) => this.#readyAfter(failure, options),
    })
    directions.faults.sort((a, b) => a.index - b.index)
    return { model, ...directions }
  }

  /**
   * After a request that the server was too slow for, requests hold fewer events, and the parts of a batch are asked one
   * after the other.
   */
  async #inferInParts(batch: EventBatch, options: InferOptions): Promise<Inference> {
    const count = eventCount(batch)
    if (count <= this.#eventsMax) return await this.#inferPart(batch, options)
    const parts: Inference[] = []
    for (let from = 0; from < count; ) {
      const part = sliceEvents(batch, from, Math.min(count, from + this.#eventsMax))
      parts.push(await this.#inferPart(part, options))
      from += eventCount(part)
    }
    return { model: parts.at(-1)?.model ?? this.#model, ...concatDirections(parts) }
  }

  /** A server that is too slow for an event may be too slow for every event: another one is the control. */
  async #readyAfter(failure: ModelFailure, { signal, traceparent }: InferOptions): Promise<void> {
    await this.ready()
    if (failure === 'model_timeout') await this.#ask(madeUpEvents([CONTROL_PULSES]), { signal, traceparent })
  }

  async #inferPart(part: EventBatch, options: InferOptions): Promise<Inference> {
    const startedAt = performance.now()
    try {
      const inference = await this.#ask(part, options)
      if (performance.now() - startedAt < this.#timeoutMs / 4) this.#eventsMax *= 2
      return inference
    } catch (error) {
      if (isTooLate(error)) {
        this.#eventsMax = Math.min(this.#eventsMax, Math.max(1, Math.ceil(eventCount(part) / 2)))
      }
      throw error
    }
  }

  async #ask(batch: EventBatch, { signal: given, traceparent }: InferOptions): Promise<Inference> {
    const body = encodeEventBatch(batch)
    const request = async (server: HttpCaller, signal: AbortSignal): Promise<Inference> => {
      const answer = await server.call({
        method: 'POST',
        path: 'predict',
        type: ARROW_TYPE,
        body,
        timeoutMs: this.#timeoutMs,
        traceparent,
        signal,
      })
      if (answer.status !== 200) throw refusal(server.name, answer, eventCount(batch))
      const inference = toInference(server.name, answer, batch)
      // Not waited for: a server that has swapped its model answers on, and drift may be noticed a little later.
      void this.#learnModel(server, inference.model)
      return inference
    }
    return await this.#endpoints.ask(request, given)
  }

  /** Servers that are away are no error here; one that does not take the token is a wrong setting. */
  async open(): Promise<void> {
    const checks = await Promise.allSettled(
      this.#endpoints.servers.map((server) => this.#checkHealth(server)),
    )
    for (const check of checks) if (check.status === 'rejected') throwUnlessAway(check.reason)
  }

  async ready(): Promise<void> {
    await this.#endpoints.ready()
  }

  get servers(): readonly ModelServerStatus[] {
    return this.#endpoints.status
  }

  async #checkHealth(server: HttpCaller): Promise<void> {
    const answer = await server.call({ method: 'GET', path: 'health', timeoutMs: READY_TIMEOUT_MS })
    if (answer.status !== 200) throw refusal(server.name, answer, 0)
    const health = readHealth(answer)
    if (health.authorized === false) throw unauthorized(server.name)
    await this.#learnModel(server, { name: String(health.model), version: String(health.version) })
  }

  /** Asks a model that is new to us what it was trained on; one that cannot be asked goes without. */
  async #learnModel(server: HttpCaller, model: ModelIdentity): Promise<void> {
    const { name, version } = this.#model
    if (model.name === name && model.version === version) return
    this.#model = model
    this.#reference = undefined
    const call = { method: 'GET', path: 'model', timeoutMs: READY_TIMEOUT_MS } as const
    const answer = await server.call(call).catch(() => undefined)
    if (answer?.status === 200 && this.#model === model) this.#reference = readReference(answer.body)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#endpoints.close()
  }
}

/** Whatever is wrong with an answer is the answer's fault: another batch may fare better. */
function toInference(server: string, { body }: HttpAnswer, batch: EventBatch): Inference {
  try {
    return decodeAnswer(body, batch)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new EventError('model_failed', `${server} gave no answer in wire form: ${reason}`, { cause: error })
  }
}

function failureOf(error: unknown): ModelFailure | undefined {
  if (error instanceof EventError) return 'model_failed'
  return isTooLate(error) ? 'model_timeout' : undefined
}

/** The server is there and has not answered in time, by its own clock (504) or by ours. */
function isTooLate(error: unknown): boolean {
  if (!(error instanceof UnavailableError)) return false
  return error.cause instanceof NoAnswerInTime || error.cause instanceof GatewayTimeout
}

interface Health {
  readonly model?: unknown
  readonly version?: unknown
  readonly authorized?: unknown
}

function readHealth({ body }: HttpAnswer): Health {
  try {
    const health: unknown = JSON.parse(Buffer.from(body).toString())
    if (typeof health === 'object' && health !== null && 'model' in health) return health
  } catch {
    // Said below: what is no JSON is no model server of ours either.
  }
  throw new UnavailableError('model_unreachable', 'what answers at /health is no nustream model server')
}

const servedModel = z.object({ reference: referenceSchema.nullish() })

/** The reference in what a model server says at `GET /model`; undefined where it says nothing of the kind. */
function readReference(body: Uint8Array): DriftReference | undefined {
  try {
    const parsed = servedModel.safeParse(JSON.parse(Buffer.from(body).toString()))
    return parsed.data?.reference ?? undefined
  } catch {
    // Not JSON: an older server, or another program. Without a reference nothing is compared.
    return undefined
  }
}
