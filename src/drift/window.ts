import type { EventBatch } from '../event/event-batch.ts'
import { DRIFT_FEATURES, type DriftFeature, featuresOf } from './features.ts'
import { stabilityIndex } from './psi.ts'
import { countInto, type DriftReference } from './reference.ts'

export interface DriftWindowOptions {
  /** Events that the window holds; older ones leave it in slots of a tenth. */
  readonly events?: number
  /** With fewer events, chance outweighs drift. */
  readonly eventsMin?: number
}

const SLOTS = 10

type Counts = Readonly<Record<DriftFeature, Int32Array>>

/** How far the latest events differ from a reference. Costs one pass over the pulses of each batch. */
export class DriftWindow {
  readonly reference: DriftReference
  /** In the window now. */
  events = 0
  readonly #slotEvents: number
  readonly #eventsMin: number
  readonly #slots: { readonly counts: Counts; events: number }[] = []
  readonly #total: Counts

  constructor(reference: DriftReference, { events = 20_000, eventsMin = 250 }: DriftWindowOptions = {}) {
    this.reference = reference
    this.#slotEvents = events / SLOTS
    this.#eventsMin = eventsMin
    this.#total = this.#emptyCounts()
  }

  add(batch: EventBatch): void {
    const features = featuresOf(batch)
    const added = features.pulses.length
    const slot = this.#currentSlot()
    for (const feature of DRIFT_FEATURES) {
      const { edges } = this.reference[feature]
      countInto(slot.counts[feature], edges, features[feature])
      countInto(this.#total[feature], edges, features[feature])
    }
    slot.events += added
    this.events += added
  }

  /** Population stability index of a feature; undefined while there are too few events to tell. */
  index(feature: DriftFeature): number | undefined {
    if (this.events < this.#eventsMin) return undefined
    return stabilityIndex(this.#total[feature], this.reference[feature].shares)
  }

  #currentSlot() {
    const latest = this.#slots.at(-1)
    if (latest && latest.events < this.#slotEvents) return latest
    if (this.#slots.length === SLOTS) this.#dropOldest()
    const slot = { counts: this.#emptyCounts(), events: 0 }
    this.#slots.push(slot)
    return slot
  }

  #dropOldest(): void {
    const oldest = this.#slots.shift()
    if (!oldest) return
    this.events -= oldest.events
    for (const feature of DRIFT_FEATURES) {
      for (const [bin, count] of oldest.counts[feature].entries()) this.#total[feature][bin] -= count
    }
  }

  #emptyCounts(): Counts {
    const counts = DRIFT_FEATURES.map(
      (feature) => [feature, new Int32Array(this.reference[feature].shares.length)] as const,
    )
    return Object.fromEntries(counts) as Record<DriftFeature, Int32Array>
  }
}
