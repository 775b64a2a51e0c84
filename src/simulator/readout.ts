import { HARD_RECORD_NS, type Launches, SOFT_RECORD_NS } from './coincidence.ts'
import type { Photons } from './photons.ts'
import { saturate } from './pmt.ts'
import type { PulseColumns } from './pulse-columns.ts'
import type { Random } from './random.ts'
import type { Trigger } from './trigger.ts'

/** Readout before the first and after the last launch of the triggers, ns. Source: arXiv:1612.05093. */
export const BEFORE_TRIGGER_NS = 4000
export const AFTER_TRIGGER_NS = 6000
/** The earliest trigger's place on an event's clock, ns. Counted in real events. */
const TRIGGER_AT_NS = 10_000
/**
 * Some events are a later part of a longer readout that was split, and keep the clock of the whole. Inferred from the
 * published times of first pulses: their mean is 6748 ns where three quarters are below 6405, the latest is 65,824. The
 * share and the mean delay (exponential) make up the difference of the means.
 */
const SPLIT_SHARE = 0.06
const SPLIT_DELAY_NS = 7000
/**
 * Pulses carry the time of their light, launches that of the recording: the tube's transit time later, at the next tick of
 * a 40 MHz clock. First pulses of real events lie 109 to 145 ns before the trigger.
 */
const TRANSIT_NS = 115.5
const CLOCK_TICK_NS = 25

/**
 * Photo-electrons closer than this come out as one pulse, ns: fine samples first, after 427 ns coarse ones. Set such that the published charges and counts of pulses come out together with the short
 * gaps between the pulses of a sensor in ten challenge events.
 */
const FINE_NS = 2.5
const FINE_UNTIL_NS = 427
const COARSE_NS = 40
/** Soft launches are read from three coarse samples, which lose some of the charge. */
const SOFT_CHARGE_SCALE = 0.93

/** Charges lie on the grid 0.05 k + 0.025. Source: SuperDST (icetray). */
const CHARGE_STEP = 0.05
/** Largest code of the charge that SuperDST can hold in its escape form; far above what saturation lets through. */
const CHARGE_CODE_MAX = 2 ** 20

/** The pulse of a charge as it is stored: 0.025 at least. */
export function quantiseCharge(q: number): number {
  return Math.min(CHARGE_CODE_MAX, Math.floor(q / CHARGE_STEP)) * CHARGE_STEP + CHARGE_STEP / 2
}

/** Turns an event's launches within the readout window into its pulses. Used again for every event. */
export class Readout {
  /** Pulse being filled of each launch, and where in its record that began. */
  readonly #openPulse: Int32Array = new Int32Array(2 ** 16)

  /** Appends the event's pulses to `pulses`, in order of time. */
  read(
    event: { photons: Photons; launches: Launches; trigger: Trigger },
    random: Random,
    pulses: PulseColumns,
  ): void {
    const { photons, launches, trigger } = event
    const delay = random.uniform() < SPLIT_SHARE ? SPLIT_DELAY_NS * random.exponential() : 0
    const shift = TRIGGER_AT_NS + delay - TRANSIT_NS - CLOCK_TICK_NS * random.uniform() - trigger.startNs
    const from = trigger.startNs - BEFORE_TRIGGER_NS
    const to = trigger.endNs + AFTER_TRIGGER_NS
    const open = this.#openPulse.fill(-1, 0, launches.count)
    const first = pulses.pulseCount
    for (let i = 0; i < photons.count; i++) {
      const photon = photons.order[i]
      const launch = launches.ofPhoton[photon]
      if (launch < 0) continue
      const launched = launches.times[launch]
      if (launched < from || launched > to) continue
      const hard = launches.hard[launch]
      const since = photons.times[photon] - launched
      if (since > (hard ? HARD_RECORD_NS : SOFT_RECORD_NS)) continue
      const charge = photons.charges[photon] * (hard ? 1 : SOFT_CHARGE_SCALE)
      const time = photons.times[photon] + shift
      const pulse = open[launch]
      const window = since > FINE_UNTIL_NS ? COARSE_NS : FINE_NS
      if (pulse >= 0 && time - pulses.times[pulse] < window) pulses.charges[pulse] += charge
      else open[launch] = pulses.add(launches.sensors[launch], time, charge, 1 - hard)
    }
    for (let pulse = first; pulse < pulses.pulseCount; pulse++) {
      pulses.times[pulse] = Math.floor(pulses.times[pulse])
      pulses.charges[pulse] = quantiseCharge(saturate(pulses.charges[pulse]))
    }
  }
}
