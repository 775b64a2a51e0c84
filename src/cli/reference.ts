import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DRIFT_FEATURES, type FeatureColumns, featuresOf } from '../drift/features.ts'
import { type DriftReference, makeReference } from '../drift/reference.ts'
import { UsageError } from '../errors.ts'
import { checkEvents } from '../event/check.ts'
import { eventCount, selectEvents } from '../event/event-batch.ts'
import { readAnyManifest } from '../inference/model/folder.ts'
import { openSource } from '../source/open.ts'
import { formatJson } from './format-json.ts'
import { showProgress } from './progress.ts'

export interface ReferenceRequest {
  /** A folder in the Kaggle layout, or any source. */
  readonly data: string
  /** Use only the first N events. */
  readonly eventsMax: number | undefined
  readonly signal: AbortSignal
}

const CHUNK_EVENTS = 1024

/**
 * Histograms of the events of a data set, for the manifest of a model that was trained on them. Invalid events are
 * skipped. Undefined when the signal aborts.
 * @throws UsageError if the source has no end and no limit is given, or holds no events
 */
export async function referenceOf(request: ReferenceRequest): Promise<DriftReference | undefined> {
  const { data, signal } = request
  const source = await openSource(existsSync(data) ? `kaggle:${data}` : data)
  const total = request.eventsMax ?? (await source.count())
  if (total === undefined)
    throw new UsageError('flag_invalid', `${source.spec} has no end; set the number of events with --events`)
  const progress = showProgress('counting', total)
  const parts: FeatureColumns[] = []
  let events = 0
  for await (const chunk of source.read({ eventsMax: CHUNK_EVENTS, signal })) {
    const bad = new Set(checkEvents(chunk.events).map(({ index }) => index))
    const good = [...chunk.events.eventIds.keys()].filter((index) => !bad.has(index)).slice(0, total - events)
    events += good.length
    parts.push(
      featuresOf(good.length === eventCount(chunk.events) ? chunk.events : selectEvents(chunk.events, good)),
    )
    progress.update(events)
    if (events >= total) break
  }
  progress.end()
  if (signal.aborted) return undefined
  if (events === 0) throw new UsageError('source_missing', `${source.spec} holds no valid events`)
  return makeReference(joined(parts, events), source.spec)
}

function joined(parts: readonly FeatureColumns[], events: number): FeatureColumns {
  const columns = {
    pulses: new Float64Array(events),
    charge: new Float64Array(events),
    auxiliary: new Float64Array(events),
  }
  for (const feature of DRIFT_FEATURES) {
    let at = 0
    for (const part of parts) {
      columns[feature].set(part[feature], at)
      at += part[feature].length
    }
  }
  return columns
}

/**
 * Replaces the reference in a folder's model.json; all other fields stay as they are.
 * @throws UsageError if the folder holds no valid manifest
 */
export async function writeReference(folder: string, reference: DriftReference): Promise<void> {
  await readAnyManifest(folder)
  const path = join(folder, 'model.json')
  const manifest: Record<string, unknown> = JSON.parse(await readFile(path, 'utf8'))
  const fields = Object.entries(manifest).filter(([key]) => key !== 'reference')
  const place = fields.findIndex(([key]) => key === 'pulses' || key === 'members')
  fields.splice(place, 0, ['reference', reference])
  const partial = `${path}.partial`
  await writeFile(partial, `${formatJson(Object.fromEntries(fields))}\n`)
  await rename(partial, path)
}
