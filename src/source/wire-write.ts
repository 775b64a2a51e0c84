import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { eventCount, pulseCount } from '../event/event-batch.ts'
import { encodeEventBatch } from '../event/wire.ts'
import { simulateInWorkers } from './simulation.ts'

export interface WriteWireOptions {
  readonly to: Writable
  /** Events in all. */
  readonly events: number
  readonly seed: number
  /** Draw ice and sensors for each event. */
  readonly systematics?: boolean
  /** Worker threads that simulate; what is written does not depend on it. */
  readonly workers?: number
  readonly onProgress?: (events: number) => void
  /** Stops writing between two batches. */
  readonly signal?: AbortSignal
}

const BATCH_EVENTS = 250

/**
 * Simulates events and writes them in the wire form (docs/wire-format.md), one Arrow stream after another, with their truth.
 * The reader's pace is kept. A reader that goes away ends the writing without an error, as `head` would end it.
 */
export async function writeWire(options: WriteWireOptions): Promise<{ events: number; pulses: number }> {
  const { to, events, seed, workers = 1, signal } = options
  const isGone = new AbortController()
  let failure: Error | undefined
  const onError = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') failure = error
    isGone.abort()
  }
  to.once('error', onError)
  const stop = signal ? AbortSignal.any([signal, isGone.signal]) : isGone.signal
  const written = { events: 0, pulses: 0 }
  const batches = simulateInWorkers({
    seed,
    systematics: options.systematics,
    to: events,
    batchEvents: BATCH_EVENTS,
    workers,
    signal: stop,
  })
  for await (const batch of batches) {
    if (!to.write(encodeEventBatch(batch))) await once(to, 'drain', { signal: stop }).catch(() => {})
    if (stop.aborted) break
    written.events += eventCount(batch)
    written.pulses += pulseCount(batch)
    options.onProgress?.(written.events)
  }
  to.off('error', onError)
  if (failure) throw failure
  return written
}
