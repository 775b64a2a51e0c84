import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { buildLineFitExecutor } from '../linefit/linefit.ts'
import { openEnsembleExecutor } from './ensemble-executor.ts'
import { openOnnxExecutor } from './onnx-executor.ts'
import { answersOf, unpackEvents } from './packed-events.ts'
import type { Executor, FromWorker, Job, JobAnswer, ToWorker, WorkerModel } from './worker-messages.ts'

/** The thread of one model: answers one job after the other. Started by worker-pool.ts. */
async function work(port: MessagePort, model: WorkerModel): Promise<void> {
  // Before the model is loaded: threads that it starts inherit the priority.
  if (model.isBackground) giveWay()
  let executor: Executor
  try {
    executor = await openExecutor(model)
  } catch (error) {
    send(port, { kind: 'unreadable', message: messageOf(error) })
    port.close()
    return
  }
  // ONNX Runtime's run() gives way once before it begins, so two messages would interleave and overwrite each other's
  // input buffers: each waits for the one before it. None of them rejects.
  let last = Promise.resolve()
  port.on('message', (message: ToWorker) => {
    last = last.then(() =>
      message.kind === 'close' ? close(port, executor) : answer(port, executor, message),
    )
  })
  send(port, { kind: 'ready', graph: executor.graph })
}

/**
 * Gives the calling thread, not its process, the lowest priority, so that it runs where nobody else would. Only Linux
 * has priorities of threads; elsewhere nothing happens.
 */
function giveWay(): void {
  try {
    // The link reads PID/task/TID, and Linux takes a thread's number where a process's is asked for.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    setPriority(thread, constants.priority.PRIORITY_LOW)
  } catch {
    // Not Linux, or not allowed: the thread competes like any other.
  }
}

async function openExecutor(model: WorkerModel): Promise<Executor> {
  switch (model.kind) {
    case 'linefit':
      return buildLineFitExecutor()
    case 'onnx':
      return openOnnxExecutor(model.folder, model.manifest)
    case 'ensemble':
      return openEnsembleExecutor({ members: model.members, clip: model.manifest.clip })
  }
}

async function answer(
  port: MessagePort,
  executor: Executor,
  { id, job }: ToWorker & { kind: 'job' },
): Promise<void> {
  try {
    send(port, { kind: 'answer', id, answer: await perform(executor, job) })
  } catch (error) {
    send(port, { kind: 'failed', id, message: messageOf(error) })
  }
}

async function perform(executor: Executor, job: Job): Promise<JobAnswer> {
  if (job.kind === 'tensors') {
    return { kind: 'tensors', outputs: await executor.runTensors(job.inputs, job.outputs) }
  }
  const { azimuth, zenith, kappa, degenerate, faults } = await executor.answer(
    unpackEvents(job.events),
    job.runSizes,
  )
  const columns = answersOf(job.events)
  columns.set(azimuth)
  columns.set(zenith, azimuth.length)
  columns.set(kappa, 2 * azimuth.length)
  columns.set(degenerate, 3 * azimuth.length)
  return { kind: 'events', faults }
}

/** The session must be given back before the thread ends: ending it while a run is active aborts the process. */
async function close(port: MessagePort, executor: Executor): Promise<void> {
  try {
    await executor.release()
  } finally {
    port.close()
  }
}

function send(port: MessagePort, message: FromWorker): void {
  port.postMessage(message)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

if (parentPort === null) throw new Error('worker.ts runs as a worker thread only')
await work(parentPort, workerData)
