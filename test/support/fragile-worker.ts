import { parentPort } from 'node:worker_threads'
import { answersOf, unpackEvents } from '../../src/inference/network/packed-events.ts'
import type { FromWorker, ToWorker } from '../../src/inference/network/worker-messages.ts'

/**
 * A model's worker that breaks on command: azimuth is the first pulse's sensor id. An event whose first time is 1 kills
 * the thread, 2 is never answered, 3 throws.
 */
const port = parentPort
if (port === null) throw new Error('runs as a worker thread only')
const send = (message: FromWorker) => port.postMessage(message)

port.on('message', (message: ToWorker) => {
  if (message.kind === 'close') return port.close()
  const { id, job } = message
  if (job.kind !== 'events')
    return send({ kind: 'answer', id, answer: { kind: 'tensors', outputs: job.inputs } })
  const { offsets, sensorIds, times } = unpackEvents(job.events)
  const { events } = job.events
  const columns = answersOf(job.events).fill(0)
  for (let event = 0; event < events; event++) {
    const row = offsets[event]
    if (times[row] === 1) process.exit(7)
    if (times[row] === 2) return
    if (times[row] === 3) return send({ kind: 'failed', id, message: 'it threw' })
    columns[event] = sensorIds[row]
  }
  send({ kind: 'answer', id, answer: { kind: 'events', faults: [] } })
})
send({ kind: 'ready', graph: undefined })
