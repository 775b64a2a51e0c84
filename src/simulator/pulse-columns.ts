import { type EventBatch, TOPOLOGIES, type Topology, TRUTH_DETAILS } from '../event/event-batch.ts'

/** Where an event came from, radians, and what it was. */
export interface EventTruth {
  readonly azimuth: number
  readonly zenith: number
  readonly topology: Topology
}

/** What `TRUTH_DETAILS` says; NaN where there is no such thing. */
export interface EventDetails {
  readonly energyGev: number
  readonly x: number
  readonly y: number
  readonly z: number
  readonly inelasticity: number
  readonly muonGev: number
  readonly visibleMuons: number
  readonly isMuonTriggered: boolean
}

/** Growing columns of an `EventBatch` under construction. */
export class PulseColumns {
  pulseCount = 0
  sensorIds: Uint16Array = new Uint16Array(0)
  times: Float32Array = new Float32Array(0)
  charges: Float32Array = new Float32Array(0)
  auxiliary: Uint8Array = new Uint8Array(0)
  eventCount = 0
  readonly #eventIds: BigInt64Array
  readonly #offsets: Int32Array
  readonly #azimuth: Float64Array
  readonly #zenith: Float64Array
  readonly #topology: Uint8Array
  readonly #details: Float64Array

  constructor(eventsMax: number) {
    this.#eventIds = new BigInt64Array(eventsMax)
    this.#offsets = new Int32Array(eventsMax + 1)
    this.#azimuth = new Float64Array(eventsMax)
    this.#zenith = new Float64Array(eventsMax)
    this.#topology = new Uint8Array(eventsMax)
    this.#details = new Float64Array(eventsMax * TRUTH_DETAILS.length)
    this.#grow(eventsMax * 192 + 1024)
  }

  /** Row of the new pulse. */
  add(sensor: number, timeNs: number, charge: number, auxiliary: number): number {
    const row = this.pulseCount
    if (row === this.times.length) this.#grow(row * 2)
    this.sensorIds[row] = sensor
    this.times[row] = timeNs
    this.charges[row] = charge
    this.auxiliary[row] = auxiliary
    this.pulseCount++
    return row
  }

  /** Makes the pulses added since the last call an event. */
  endEvent(eventId: number, { azimuth, zenith, topology }: EventTruth, details: EventDetails): void {
    this.#eventIds[this.eventCount] = BigInt(eventId)
    this.#azimuth[this.eventCount] = azimuth
    this.#zenith[this.eventCount] = zenith
    this.#topology[this.eventCount] = TOPOLOGIES.indexOf(topology)
    this.#setDetails(this.eventCount * TRUTH_DETAILS.length, details)
    this.eventCount++
    this.#offsets[this.eventCount] = this.pulseCount
  }

  /** The events so far, in arrays of their own size. */
  toBatch(): EventBatch {
    return {
      eventIds: this.#eventIds.slice(0, this.eventCount),
      offsets: this.#offsets.slice(0, this.eventCount + 1),
      sensorIds: this.sensorIds.slice(0, this.pulseCount),
      times: this.times.slice(0, this.pulseCount),
      charges: this.charges.slice(0, this.pulseCount),
      auxiliary: this.auxiliary.slice(0, this.pulseCount),
      truth: {
        azimuth: this.#azimuth.slice(0, this.eventCount),
        zenith: this.#zenith.slice(0, this.eventCount),
        topology: this.#topology.slice(0, this.eventCount),
        details: this.#details.slice(0, this.eventCount * TRUTH_DETAILS.length),
      },
    }
  }

  /** In the order of `TRUTH_DETAILS`. */
  #setDetails(at: number, details: EventDetails): void {
    const { energyGev, x, y, z, inelasticity, muonGev, visibleMuons, isMuonTriggered } = details
    const into = this.#details
    into[at] = energyGev
    into[at + 1] = x
    into[at + 2] = y
    into[at + 3] = z
    into[at + 4] = inelasticity
    into[at + 5] = muonGev
    into[at + 6] = visibleMuons
    into[at + 7] = isMuonTriggered ? 1 : 0
  }

  #grow(pulses: number): void {
    this.sensorIds = copyInto(new Uint16Array(pulses), this.sensorIds)
    this.times = copyInto(new Float32Array(pulses), this.times)
    this.charges = copyInto(new Float32Array(pulses), this.charges)
    this.auxiliary = copyInto(new Uint8Array(pulses), this.auxiliary)
  }
}

function copyInto<T extends Uint8Array | Uint16Array | Float32Array>(target: T, source: T): T {
  target.set(source)
  return target
}
