import { checkEvents } from '../event/check.ts'
import type { EventBatch } from '../event/event-batch.ts'
import type { Inference } from '../inference/inferrer.ts'
import type { GraphInfo, NamedTensors, Tensor, TensorData } from '../inference/tensors/tensor.ts'
import { RequestError } from './errors.ts'

/**
 * Raw pulses as tensors, for a model without a network of its own (the line fit): the pulses of all events one after the
 * other, and how many pulses each event has.
 */
export const PULSE_GRAPH: GraphInfo = {
  inputs: [
    { name: 'sensor_id', dtype: 'int32', shape: ['pulses'] },
    { name: 'time', dtype: 'float32', shape: ['pulses'] },
    { name: 'charge', dtype: 'float32', shape: ['pulses'] },
    { name: 'auxiliary', dtype: 'bool', shape: ['pulses'] },
    { name: 'lengths', dtype: 'int64', shape: ['events'] },
  ],
  outputs: [
    { name: 'azimuth', dtype: 'float64', shape: ['events'] },
    { name: 'zenith', dtype: 'float64', shape: ['events'] },
    { name: 'kappa', dtype: 'float64', shape: ['events'] },
    { name: 'degenerate', dtype: 'bool', shape: ['events'] },
  ],
}

/**
 * Answers pulse tensors by `infer`. An event that the model cannot do has NaN for azimuth and zenith.
 * @throws RequestError when lengths and pulses do not fit, or an event's values are bad
 */
export async function runPulseTensors(
  inputs: NamedTensors,
  infer: (batch: EventBatch) => Promise<Inference>,
): Promise<NamedTensors> {
  const batch = toBatch(inputs)
  const faults = checkEvents(batch).filter(({ code }) => code !== 'event_id_repeated')
  if (faults.length > 0) {
    const [{ index, message }] = faults
    throw new RequestError('tensor_invalid', `the event at lengths[${index}] is bad: ${message}`)
  }
  const { azimuth, zenith, kappa, degenerate } = await infer(batch)
  return {
    azimuth: column('float64', azimuth),
    zenith: column('float64', zenith),
    kappa: column('float64', kappa),
    degenerate: column('bool', degenerate),
  }
}

function toBatch({ sensor_id, time, charge, auxiliary, lengths }: NamedTensors): EventBatch {
  const pulses = time.data.length
  const offsets = new Int32Array(lengths.data.length + 1)
  for (const [i, length] of Array.from(lengths.data, Number).entries()) {
    // A length below 0 or beyond the pulses would make offsets that the other checks do not expect.
    const to = offsets[i] + length
    if (length < 0 || to > pulses)
      throw unfit(`lengths[${i}] is ${length}; ${pulses - offsets[i]} pulses are left`)
    offsets[i + 1] = to
  }
  const used = offsets[offsets.length - 1]
  if (used !== pulses) throw unfit(`lengths sum to ${used}; the other inputs hold ${pulses} pulses`)
  const bad = sensor_id.data.findIndex((id: number | bigint) => id < 0 || id > 0xffff)
  if (bad >= 0) throw unfit(`sensor_id[${bad}] is ${sensor_id.data[bad]}, which is no sensor`)
  return {
    // Ids are nowhere given: the event's place stands in.
    eventIds: BigInt64Array.from(lengths.data.keys(), BigInt),
    offsets,
    sensorIds: Uint16Array.from(sensor_id.data, Number),
    times: Float32Array.from(time.data, Number),
    charges: Float32Array.from(charge.data, Number),
    auxiliary: Uint8Array.from(auxiliary.data, Number),
  }
}

function column(dtype: Tensor['dtype'], data: TensorData): Tensor {
  return { dtype, shape: [data.length], data }
}

function unfit(problem: string): RequestError {
  return new RequestError('tensor_invalid', problem)
}
