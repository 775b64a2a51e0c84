import { EventError } from '../errors.ts'

/** Key of the schema's metadata that says what a stream holds and in which version: `events/1`, `predictions/1`. */
const SCHEMA_KEY = 'nustream.schema'

/** Raised when a column that must be there is added, or a column changes its type or its meaning. */
const WIRE_VERSION = 1

export type WireKind = 'events' | 'predictions'

/** Metadata of a stream of ours. */
export function wireMetadata(kind: WireKind): Map<string, string> {
  return new Map([[SCHEMA_KEY, `${kind}/${WIRE_VERSION}`]])
}

/** @throws EventError `wire_version_unknown`, or `wire_schema_mismatch` where the stream holds something else */
export function checkWireVersion(metadata: ReadonlyMap<string, string>, kind: WireKind): void {
  const found = metadata.get(SCHEMA_KEY)
  const wanted = `${kind}/${WIRE_VERSION}`
  if (found === undefined) {
    throw new EventError(
      'wire_version_unknown',
      `the schema's metadata has no ${SCHEMA_KEY}; wanted ${wanted}`,
    )
  }
  if (found === wanted) return
  const [foundKind] = found.split('/')
  if (foundKind !== kind) {
    throw new EventError(
      'wire_schema_mismatch',
      `the stream holds ${JSON.stringify(found)}; wanted ${wanted}`,
    )
  }
  throw new EventError(
    'wire_version_unknown',
    `the stream is ${JSON.stringify(found)}; this build reads ${wanted}`,
  )
}
