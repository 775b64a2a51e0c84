import type { ModelIdentity } from '../inferrer.ts'

/** One version of a model that a source offers. */
export interface ModelRelease extends ModelIdentity {
  /** Differs for each version, also where names and versions were given anew. */
  readonly key: string
}

/** Where models come from that may be replaced while they are in use. */
export interface ModelSource {
  /** What the user named, for messages. */
  readonly spec: string
  /** False where it always offers the same release. */
  readonly changes: boolean
  /**
   * The release offered now.
   * @throws UnavailableError when the source is away for now; UsageError when it offers none
   */
  newest(signal?: AbortSignal): Promise<ModelRelease>
  /** The release that proved good the last time, where a copy of it is kept. */
  lastGood(): Promise<ModelRelease | undefined>
  /** Folder of a release. @throws UnavailableError, UsageError */
  fetch(release: ModelRelease, signal?: AbortSignal): Promise<string>
  /** The release is in use: keep it for a day on which the source is away. */
  markGood(release: ModelRelease): Promise<void>
}
