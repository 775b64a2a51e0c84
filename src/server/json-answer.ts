import type { InferenceFault } from '../inference/directions.ts'
import type { Inference } from '../inference/inferrer.ts'
import type { EventRefusal, GivenId, JsonEvents } from './json-events.ts'

export interface JsonAnswer {
  readonly status: 200 | 400
  readonly body: string
}

/**
 * The answer to a JSON request, in request order. One event answers one object (400 when it was refused), a list
 * answers `{"predictions": […]}` with an `error` in the place of each event that has no direction.
 * Written by hand, as it is made of numbers: a serialiser would only look at them again.
 */
export function writeJsonAnswer(asked: JsonEvents, inference: Inference): JsonAnswer {
  const entries = entriesOf(asked, inference)
  if (!asked.single) return { status: 200, body: `{"predictions":[${entries.join(',')}]}` }
  return { status: isFaulty(asked, inference) ? 400 : 200, body: entries[0] }
}

function isFaulty(asked: JsonEvents, inference: Inference): boolean {
  return asked.refusals.length > 0 || inference.faults.length > 0
}

function entriesOf({ ids, refusals }: JsonEvents, inference: Inference): string[] {
  const entries = new Array<string>(ids.length)
  for (const refusal of refusals) entries[refusal.index] = errorEntry(ids[refusal.index], refusal)
  const maker = JSON.stringify(inference.model.name)
  const version = JSON.stringify(inference.model.version)
  const tail = `,"model":${maker},"version":${version}}`
  const faults = new Map(inference.faults.map((fault) => [fault.index, fault]))
  let asked = 0
  for (let i = 0; i < entries.length; i++) {
    if (entries[i] !== undefined) continue
    const fault = faults.get(asked) ?? missingFault(inference, asked)
    entries[i] = fault ? errorEntry(ids[i], fault) : directionEntry(ids[i], inference, asked) + tail
    asked += 1
  }
  return entries
}

/** A direction that is not finite without a fault: the model broke its contract, and JSON has no such numbers. */
function missingFault({ azimuth, zenith }: Inference, index: number): InferenceFault | undefined {
  if (Number.isFinite(azimuth[index]) && Number.isFinite(zenith[index])) return undefined
  return { index, code: 'model_output_invalid', message: 'the model answered no finite direction' }
}

function directionEntry(id: GivenId, { azimuth, zenith, kappa, degenerate }: Inference, i: number): string {
  const concentration = Number.isFinite(kappa[i]) ? kappa[i] : 'null'
  return (
    `{"event_id":${idText(id)},"azimuth":${azimuth[i]},"zenith":${zenith[i]},` +
    `"kappa":${concentration},"degenerate":${degenerate[i] === 1}`
  )
}

function errorEntry(id: GivenId, { code, message }: EventRefusal | InferenceFault): string {
  return `{"event_id":${idText(id)},"error":{"code":"${code}","message":${JSON.stringify(message)}}}`
}

function idText(id: GivenId): string {
  return typeof id === 'string' ? JSON.stringify(id) : String(id)
}
