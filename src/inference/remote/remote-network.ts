import type { Logger } from 'pino'
import { EventError, NustreamError, UnavailableError } from '../../errors.ts'
import { type EventBatch, eventCount, selectEvents } from '../../event/event-batch.ts'
import { allocateDirections, type Directions, scatterDirections } from '../directions.ts'
import type { Inference, InferOptions, Inferrer, ModelIdentity } from '../inferrer.ts'
import { readManifest } from '../model/folder.ts'
import type { ModelManifest } from '../model/manifest.ts'
import { checkParity, checkParityTensors, type ParityFixture, readParityFixture } from '../model/parity.ts'
import { answerAll, networkParts, type Parts } from '../network/onnx-executor.ts'
import { networkRuns, planRuns, type RunLimits } from '../network/plan-runs.ts'
import { throwUnlessAway } from './http-caller.ts'
import { TensorServer } from './tensor-server.ts'

export interface RemoteNetworkOptions {
  readonly token?: string | undefined
  /** Certificate of the authority that signed the server's, where it is none that Node knows. */
  readonly ca?: string | Buffer | undefined
  /** For one request, from the first byte sent to the last received. */
  readonly timeoutMs?: number | undefined
  /** Requests under way at once; each has a connection of its own, which is kept open. */
  readonly concurrency?: number | undefined
  /** Events of one request; the manifest's `limits.eventsPerRun` unless told. */
  readonly eventsPerRequest?: number | undefined
  readonly log?: Logger | undefined
}

/**
 * A model folder whose network runs on a server that speaks the Open Inference Protocol: features are made here, as the
 * manifest says, tensors travel, and answers are read here. The folder needs no `model.onnx`. Before its first answer
 * is used, the server is checked against the folder's parity fixture, and again when it answers under another version.
 * An unreachable server is no error here: `infer` and `ready` report it.
 * @throws UsageError when the folder is no model, the URL is none, or the server has another network
 */
export async function openRemoteNetwork(
  folder: string,
  url: string,
  options: RemoteNetworkOptions = {},
): Promise<Inferrer> {
  const manifest = await readManifest(folder)
  const fixture = manifest.parity === null ? undefined : await readParityFixture(folder, manifest.parity)
  if (fixture) checkParityTensors(fixture, manifest)
  else options.log?.warn({ model: manifest.name }, 'model has no parity fixture: nothing proves the server')
  const network = new RemoteNetwork(manifest, fixture, url, options)
  try {
    await network.ready().catch(throwUnlessAway)
  } catch (error) {
    await network[Symbol.asyncDispose]()
    throw error
  }
  return network
}

class RemoteNetwork implements Inferrer {
  readonly model: ModelIdentity
  readonly reference: Inferrer['reference']
  readonly concurrency: number
  readonly #fixture: ParityFixture | undefined
  readonly #server: TensorServer
  readonly #parts: Omit<Parts, 'session'>
  readonly #limits: RunLimits & { readonly tokensOf: (pulses: number) => number }
  readonly #log: Logger | undefined
  #proof: Promise<void> | undefined
  #version: string | undefined

  constructor(
    manifest: ModelManifest,
    fixture: ParityFixture | undefined,
    url: string,
    options: RemoteNetworkOptions,
  ) {
    const { token, ca, timeoutMs = 30_000, concurrency = 4, eventsPerRequest, log } = options
    this.model = { name: manifest.name, version: manifest.version }
    this.reference = manifest.reference
    this.concurrency = concurrency
    this.#fixture = fixture
    this.#server = new TensorServer(url, manifest.name, { token, ca, timeoutMs, concurrency })
    this.#parts = networkParts(manifest)
    const limits = networkRuns(manifest, 1)
    this.#limits = { ...limits, eventsPerRun: eventsPerRequest ?? limits.eventsPerRun }
    this.#log = log
  }

  async infer(batch: EventBatch, { signal, traceparent }: InferOptions = {}): Promise<Inference> {
    signal?.throwIfAborted()
    await this.#proved()
    return { model: this.model, ...(await this.#answer(batch, signal, traceparent)) }
  }

  async ready(): Promise<void> {
    await this.#proved()
    await this.#server.ready()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
  }

  /** Proves the server once; a failure is tried again by whoever comes next. */
  async #proved(): Promise<void> {
    this.#proof ??= this.#prove()
    const proof = this.#proof
    try {
      await proof
    } catch (error) {
      if (this.#proof === proof) this.#proof = undefined
      throw error
    }
  }

  async #prove(): Promise<void> {
    await this.#server.ready()
    this.#version = undefined
    if (this.#fixture === undefined) return
    const report = await checkParity(this.#fixture, (batch) => this.#answer(batch))
    const { name } = this.#server
    this.#log?.info({ server: name, version: this.#version, ...report }, 'the model server has this network')
  }

  /** Events of similar length travel together; the requests of a batch are under way at the same time. */
  async #answer(batch: EventBatch, signal?: AbortSignal, traceparent?: string): Promise<Directions> {
    const { offsets } = batch
    const lengths = Int32Array.from({ length: eventCount(batch) }, (_, e) =>
      this.#limits.tokensOf(offsets[e + 1] - offsets[e]),
    )
    const { order, sizes } = planRuns(lengths, this.#limits)
    const answers = allocateDirections(lengths.length)
    const runs: Int32Array[] = []
    for (let run = 0, from = 0; run < sizes.length; from += sizes[run++])
      runs.push(order.subarray(from, from + sizes[run]))
    const parts = { ...this.#parts, session: this.#session(signal, traceparent), signal }
    await Promise.all(
      runs.map(async (events) => {
        // In ascending order they are a view where they are neighbours.
        const part = selectEvents(batch, events)
        scatterDirections(answers, await answerAll(parts, part, [events.length]), events)
      }),
    )
    answers.faults.sort((a, b) => a.index - b.index)
    return answers
  }

  #session(signal: AbortSignal | undefined, traceparent: string | undefined): Parts['session'] {
    return {
      run: async (inputs, wanted = []) => {
        const [first] = Object.values(inputs)
        const events = first?.shape[0] ?? 0
        const call = { outputs: wanted, events, signal, traceparent }
        try {
          const { outputs, modelVersion } = await this.#server.run(inputs, call)
          this.#noteVersion(modelVersion)
          return outputs
        } catch (error) {
          signal?.throwIfAborted()
          if (error instanceof NustreamError) throw error
          const reason = error instanceof Error ? error.message : String(error)
          throw new EventError(
            'model_failed',
            `${this.#server.name} gave no answer that can be read: ${reason}`,
            {
              cause: error,
            },
          )
        }
      },
    }
  }

  /** @throws UnavailableError when the server has changed models: the next call proves the new one */
  #noteVersion(version: string | undefined): void {
    if (this.#version === undefined || version === this.#version) {
      this.#version = version
      return
    }
    const message = `${this.#server.name} now answers as version ${version} instead of ${this.#version}, which is to be proved`
    this.#version = undefined
    this.#proof = undefined
    throw new UnavailableError('model_unreachable', message)
  }
}
