import { access } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { EventError, UsageError } from '../../errors.ts'
import { type EventBatch, eventCount, sliceEvents } from '../../event/event-batch.ts'
import { allocateDirections, type Directions, scatterDirections, setFault } from '../directions.ts'
import type { Inference, InferOptions, Inferrer, ModelIdentity } from '../inferrer.ts'
import { isolate, type ModelFailure } from '../isolate.ts'
import { LINE_FIT_IDENTITY } from '../linefit/linefit.ts'
import { readAnyManifest, readMembers, resolveModelFolder } from '../model/folder.ts'
import { checkGraph, checkTensors } from '../model/graph.ts'
import type { EnsembleManifest, ModelManifest } from '../model/manifest.ts'
import { checkParity, checkParityTensors, type ParityReport, readParityFixture } from '../model/parity.ts'
import type { GraphInfo, NamedTensors } from '../tensors/tensor.ts'
import { lineFitRuns, networkRuns, type RunOptions, sharedRuns } from './plan-runs.ts'
import { type QueueLimits, RequestQueue } from './queue.ts'
import { rowsOf } from './tensor-jobs.ts'
import { warmUpEvents } from './warm-up.ts'
import type { WorkerModel } from './worker-messages.ts'
import { WorkerPool } from './worker-pool.ts'
import { JobFailed, WorkerEnded } from './worker-slot.ts'

export interface LocalModelOptions {
  /** Worker threads, each with a session of its own; default: one per core. */
  readonly threads?: number
  /** Its threads run only where no other wants the processor (Linux); for a model whose answers can wait. */
  readonly isBackground?: boolean
  /** Bounds on what waits for the model. */
  readonly queue?: QueueLimits | undefined
  readonly log?: Logger
}

export interface RunTensorsOptions {
  /** Names of the outputs wanted; default all. */
  readonly outputs?: readonly string[]
  readonly signal?: AbortSignal
}

/** A model in this process, on worker threads. */
export interface LocalModel extends Inferrer {
  /** Of the one network; undefined for the built-in line fit and for an ensemble. */
  readonly manifest: ModelManifest | undefined
  /** Undefined unless several models answer together. */
  readonly ensemble?: EnsembleManifest | undefined
  /** Real inputs and outputs of the network; undefined for the built-in line fit and for an ensemble. */
  readonly graph: GraphInfo | undefined
  /** How near the model (each member of an ensemble) came to its parity fixture; undefined where there is none. */
  readonly parity: ParityReport | undefined
  /**
   * Runs the network on tensors made elsewhere (the Open Inference Protocol). The arrays are copied.
   * @throws EventError `model_failed` where the network cannot take them: unknown name, other type or shape
   * @throws UnavailableError when asking again later may help
   */
  runTensors(inputs: NamedTensors, options?: RunTensorsOptions): Promise<NamedTensors>
}

/** `model` with another way to answer, and perhaps another name. Everything else is the model's own, methods included. */
export function withInfer(
  model: LocalModel,
  own: { readonly infer: LocalModel['infer']; readonly model?: ModelIdentity },
): LocalModel {
  return {
    get model() {
      return own.model ?? model.model
    },
    get reference() {
      return model.reference
    },
    concurrency: model.concurrency,
    manifest: model.manifest,
    ensemble: model.ensemble,
    graph: model.graph,
    parity: model.parity,
    infer: own.infer,
    ready: () => model.ready(),
    runTensors: (inputs, options) => model.runTensors(inputs, options),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  }
}

/**
 * Opens `linefit`, `nano` (which comes with nustream) or a model folder: checks its manifest, loads the network in every
 * worker, checks that both fit, proves
 * it on its parity fixture and warms it. Close it before the process exits: exiting during a run aborts the process.
 * @throws UsageError `model_missing`, `model_manifest_invalid`, `model_unreadable`, `model_parity_failed`
 */
export async function openLocalModel(spec: string, options: LocalModelOptions = {}): Promise<LocalModel> {
  const threads = options.threads ?? availableParallelism()
  if (spec === 'linefit') return openParts({ kind: 'linefit' }, lineFitRuns(threads), options)
  const folder = resolveModelFolder(spec)
  const { kind, manifest } = await readAnyManifest(folder)
  if (kind === 'ensemble') return openEnsemble({ folder, manifest, threads }, options)
  await requireNetwork(folder)
  return openParts({ kind: 'onnx', folder, manifest }, networkRuns(manifest, threads), options)
}

interface EnsembleFolder {
  readonly folder: string
  readonly manifest: EnsembleManifest
  readonly threads: number
}

/** Each member is opened alone first, one after the other: that proves it, and names it where it fails. */
async function openEnsemble(
  { folder, manifest, threads }: EnsembleFolder,
  options: LocalModelOptions,
): Promise<LocalModel> {
  const members = await readMembers(folder, manifest)
  const reports: (ParityReport | undefined)[] = []
  for (const member of members) {
    await using opened = await openLocalModel(member.folder, { ...options, threads: 1 })
    reports.push(opened.parity)
  }
  const runs = sharedRuns(
    members.map((member) => member.manifest),
    threads,
  )
  const parity = sumParity(reports)
  return openParts({ kind: 'ensemble', folder, manifest, members }, runs, options, parity)
}

/** Undefined unless every member is proved. */
function sumParity(reports: readonly (ParityReport | undefined)[]): ParityReport | undefined {
  const known = reports.filter((report) => report !== undefined)
  if (known.length < reports.length) return undefined
  return {
    events: known.reduce((sum, { events }) => sum + events, 0),
    worstRad: Math.max(...known.map(({ worstRad }) => worstRad)),
    toleranceRad: Math.max(...known.map(({ toleranceRad }) => toleranceRad)),
  }
}

async function openParts(
  model: WorkerModel,
  runs: RunOptions,
  { isBackground = false, queue: limits, log }: LocalModelOptions,
  provedParity?: ParityReport,
): Promise<LocalModel> {
  const pool = new WorkerPool({
    url: workerUrl(),
    workerData: { ...model, isBackground } satisfies WorkerModel,
    threads: runs.threads,
    onChange: () => queue.pump(),
    ...(log && { log }),
  })
  // The proof below has no deadline, and nobody counts it.
  let queue = new RequestQueue(pool, runs)
  try {
    await startPool(pool, model)
    if (model.kind === 'onnx' && pool.graph)
      checkGraph(model.manifest, pool.graph, join(model.folder, 'model.json'))
    await pool.runOnEach(warmUpEvents)
    const parity = model.kind === 'onnx' ? await prove(model, queue, log) : provedParity
    queue = new RequestQueue(pool, { ...runs, ...limits })
    return buildLocalModel({ model, pool, queue, parity, threads: runs.threads })
  } catch (error) {
    await pool.close()
    throw error
  }
}

/** One worker file, as TypeScript in the source tree and as JavaScript in the package. */
function workerUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)
}

async function requireNetwork(folder: string): Promise<void> {
  const path = join(folder, 'model.onnx')
  try {
    await access(path)
  } catch (cause) {
    throw new UsageError('model_missing', `${path} cannot be read: the network lies beside model.json`, {
      cause,
    })
  }
}

async function startPool(pool: WorkerPool, model: WorkerModel): Promise<void> {
  try {
    await pool.start()
  } catch (cause) {
    const what =
      model.kind === 'onnx' ? join(model.folder, 'model.onnx') : `the ${identityOf(model).name} model`
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError('model_unreadable', `${what} cannot be loaded: ${reason}`, { cause })
  }
}

async function prove(
  { folder, manifest }: WorkerModel & { kind: 'onnx' },
  queue: RequestQueue,
  log: Logger | undefined,
): Promise<ParityReport | undefined> {
  if (manifest.parity === null) {
    log?.warn({ model: manifest.name }, 'model has no parity fixture: nothing proves its manifest')
    return undefined
  }
  const fixture = await readParityFixture(folder, manifest.parity)
  checkParityTensors(fixture, manifest)
  return checkParity(fixture, (batch) => queue.infer(batch))
}

interface Parts {
  readonly model: WorkerModel
  readonly pool: WorkerPool
  readonly queue: RequestQueue
  readonly parity: ParityReport | undefined
  readonly threads: number
}

function buildLocalModel(parts: Parts): LocalModel {
  const { model, pool, queue, parity, threads } = parts
  const manifest = model.kind === 'onnx' ? model.manifest : undefined
  const identity = identityOf(model)
  let closing: Promise<void> | undefined
  return {
    model: identity,
    reference: model.kind === 'linefit' ? undefined : model.manifest.reference,
    manifest,
    ensemble: model.kind === 'ensemble' ? model.manifest : undefined,
    graph: pool.graph,
    parity,
    // Two batches a worker: while one is answered the next is there already.
    concurrency: 2 * threads,
    async infer(batch: EventBatch, options?: InferOptions): Promise<Inference> {
      return { model: identity, ...(await inferIsolating(batch, parts, options)) }
    },
    async ready() {
      if (pool.alive === 0) throw pool.noWorker()
    },
    async runTensors(inputs, options = {}) {
      if (manifest === undefined || pool.graph === undefined) {
        throw new EventError(
          'model_failed',
          `${identity.name} is not one network: it takes events, not tensors`,
        )
      }
      checkTensors(inputs, pool.graph, manifest)
      try {
        const call = { inputs, outputs: options.outputs, rows: rowsOf(inputs, manifest, pool.graph) }
        return await queue.runTensors(call, options.signal)
      } catch (cause) {
        if (!(cause instanceof JobFailed)) throw cause
        throw new EventError('model_failed', `the model failed on these tensors: ${cause.message}`, { cause })
      }
    },
    [Symbol.asyncDispose]() {
      closing ??= close(pool, queue)
      return closing
    },
  }
}

/** Asks the queue for all events at once, and for fewer where that fails, until the events at fault stand alone. */
export async function inferIsolating(
  batch: EventBatch,
  { pool, queue }: Pick<Parts, 'pool' | 'queue'>,
  { signal, onRetry }: InferOptions = {},
): Promise<Directions> {
  const events = eventCount(batch)
  const askedMs = performance.now()
  let directions: Directions | undefined
  const whole = () => {
    directions ??= allocateDirections(events)
    return directions
  }
  await isolate(events, {
    signal,
    onRetry,
    async answer(from, to, isAlone) {
      const options = { signal, askedMs, isAlone }
      if (to - from === events) directions = await queue.infer(batch, options)
      else scatterDirections(whole(), await queue.infer(sliceEvents(batch, from, to), options), from)
    },
    failureOf,
    setFault: (index, message) => setFault(whole(), index, 'model_failed', message),
    async ready() {
      if (pool.alive === 0) throw pool.noWorker()
    },
    ...(queue.deadlineMs !== undefined && { patienceMs: queue.deadlineMs }),
  })
  return whole()
}

/** A worker that ended, or threw, had the events; everything else says nothing of them. */
function failureOf(error: unknown): ModelFailure | undefined {
  if (error instanceof WorkerEnded) return 'model_worker_died'
  return error instanceof JobFailed ? 'model_failed' : undefined
}

function identityOf(model: WorkerModel): ModelIdentity {
  if (model.kind === 'linefit') return LINE_FIT_IDENTITY
  const { name, version } = model.manifest
  return { name, version }
}

async function close(pool: WorkerPool, queue: RequestQueue): Promise<void> {
  // What was asked in this turn still goes to workers that are free.
  queue.pump()
  const closed = pool.close()
  queue.abandon(pool.noWorker())
  await closed
}
