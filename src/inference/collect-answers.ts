import type { Inference, InferenceFault, ModelIdentity } from './inferrer.ts'

/** Collects the answers of parts into one for the whole batch; made by `model` until one says who made it. */
export function collectAnswers(events: number, model: ModelIdentity) {
  const columns = {
    azimuth: new Float64Array(events).fill(Number.NaN),
    zenith: new Float64Array(events).fill(Number.NaN),
    kappa: new Float64Array(events).fill(Number.NaN),
    degenerate: new Uint8Array(events),
  }
  const faults: InferenceFault[] = []
  let answeredBy = model
  return {
    add(from: number, answer: Inference): void {
      columns.azimuth.set(answer.azimuth, from)
      columns.zenith.set(answer.zenith, from)
      columns.kappa.set(answer.kappa, from)
      columns.degenerate.set(answer.degenerate, from)
      for (const fault of answer.faults) faults.push({ ...fault, index: fault.index + from })
      answeredBy = answer.model
    },
    addFault(fault: InferenceFault): void {
      faults.push(fault)
    },
    whole(): Inference {
      return { model: answeredBy, ...columns, faults }
    },
  }
}
