import { parentPort, workerData } from 'node:worker_threads'
import type { EventBatch } from '../event/event-batch.ts'
import { Simulator } from '../simulator/simulate.ts'

/** What a simulation worker is asked for; it answers each in turn with an `EventBatch`. */
export interface SimulationRequest {
  /** Index of the first event. */
  readonly from: number
  readonly count: number
}

const port = parentPort
if (port) {
  const simulator = new Simulator(workerData.seed, workerData)
  port.on('message', ({ from, count }: SimulationRequest) => {
    const batch = simulator.simulate(from, count)
    port.postMessage(batch, buffersOf(batch))
  })
}

/** The batch's arrays are its own, so they can be handed over instead of copied. */
function buffersOf(batch: EventBatch): ArrayBuffer[] {
  const { eventIds, offsets, sensorIds, times, charges, auxiliary, truth } = batch
  const columns = [eventIds, offsets, sensorIds, times, charges, auxiliary]
  return [
    ...columns,
    ...(truth ? [truth.azimuth, truth.zenith] : []),
    ...(truth?.topology ? [truth.topology] : []),
    ...(truth?.details ? [truth.details] : []),
  ].flatMap(({ buffer }) => (buffer instanceof ArrayBuffer ? [buffer] : []))
}
