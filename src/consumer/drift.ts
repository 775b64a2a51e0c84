import { DRIFT_FEATURES } from '../drift/features.ts'
import { DriftWindow } from '../drift/window.ts'
import type { EventBatch } from '../event/event-batch.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import type { ConsumerMetrics } from './metrics.ts'

/** Compares the events that a consumer has settled with those that its model was trained on. */
export interface DriftWatch {
  add(batch: EventBatch): void
}

/** A model that takes the place of another begins a window of its own; one without a reference has no index. */
export function createDriftWatch(inferrer: Inferrer, { driftPsi, driftEvents }: ConsumerMetrics): DriftWatch {
  let window: DriftWindow | undefined
  return {
    add(batch) {
      const { reference } = inferrer
      if (window?.reference !== reference) {
        window = reference && new DriftWindow(reference)
        driftPsi.reset()
        driftEvents.set(0)
      }
      if (window === undefined) return
      window.add(batch)
      driftEvents.set(window.events)
      for (const feature of DRIFT_FEATURES) {
        const index = window.index(feature)
        if (index !== undefined) driftPsi.set({ feature }, index)
      }
    },
  }
}
