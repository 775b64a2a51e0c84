import { EventError } from '../errors.ts'
import { concatEvents, type EventBatch, eventCount, sliceEvents } from '../event/event-batch.ts'
import type { Inference, Inferrer } from '../inference/inferrer.ts'
import type { Work } from './coalesce.ts'

/** Requests for directions: merged into one batch for the model, taken apart again for each caller. */
export function eventWork(model: Inferrer): Work<EventBatch, Inference> {
  return {
    size: eventCount,
    joins: () => true,
    async run(batches, signal) {
      const [first] = batches
      const inference = await inferHalving(
        model,
        batches.length === 1 ? first : concatEvents(batches),
        signal,
      )
      if (batches.length === 1) return [inference]
      let from = 0
      return batches.map((batch) => {
        const to = from + eventCount(batch)
        const part = sliceInference(inference, from, to)
        from = to
        return part
      })
    },
  }
}

/** Where the model fails on a batch as a whole, its halves are asked, down to the one event at fault. */
async function inferHalving(model: Inferrer, batch: EventBatch, signal: AbortSignal): Promise<Inference> {
  try {
    return await model.infer(batch, { signal })
  } catch (error) {
    if (!(error instanceof EventError)) throw error
    const count = eventCount(batch)
    if (count === 1) return faultOf(model, error)
    signal.throwIfAborted()
    const half = count >> 1
    const left = await inferHalving(model, sliceEvents(batch, 0, half), signal)
    return joinInferences(left, await inferHalving(model, sliceEvents(batch, half, count), signal))
  }
}

function faultOf(model: Inferrer, { code, message }: EventError): Inference {
  return {
    model: model.model,
    azimuth: Float64Array.of(Number.NaN),
    zenith: Float64Array.of(Number.NaN),
    kappa: Float64Array.of(Number.NaN),
    degenerate: Uint8Array.of(0),
    faults: [{ index: 0, code, message }],
  }
}

/** Events `from` to `to` (exclusive) of an inference, as a view. */
function sliceInference(inference: Inference, from: number, to: number): Inference {
  const { model, azimuth, zenith, kappa, degenerate, faults } = inference
  return {
    model,
    azimuth: azimuth.subarray(from, to),
    zenith: zenith.subarray(from, to),
    kappa: kappa.subarray(from, to),
    degenerate: degenerate.subarray(from, to),
    faults:
      faults.length === 0
        ? faults
        : faults
            .filter(({ index }) => index >= from && index < to)
            .map((fault) => ({ ...fault, index: fault.index - from })),
  }
}

function joinInferences(left: Inference, right: Inference): Inference {
  const shift = left.azimuth.length
  const total = shift + right.azimuth.length
  return {
    model: right.model,
    azimuth: joinInto(new Float64Array(total), left.azimuth, right.azimuth),
    zenith: joinInto(new Float64Array(total), left.zenith, right.zenith),
    kappa: joinInto(new Float64Array(total), left.kappa, right.kappa),
    degenerate: joinInto(new Uint8Array(total), left.degenerate, right.degenerate),
    faults: [...left.faults, ...right.faults.map((fault) => ({ ...fault, index: fault.index + shift }))],
  }
}

function joinInto<T extends Float64Array | Uint8Array>(joined: T, left: T, right: T): T {
  joined.set(left)
  joined.set(right, left.length)
  return joined
}
