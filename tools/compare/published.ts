import type { Histogram } from './histogram.ts'
import { type EventStatistics, LIVING_SENSORS } from './statistics.ts'

/** One published figure of the real events, and the function that computes it for other events. */
export interface Published {
  readonly quantity: string
  /** `ns`, `p.e.` (photo-electrons), `rad`, `Hz`, or nothing for counts and shares. */
  readonly unit: string
  readonly published: number
  /** The sample behind the figure. */
  readonly source: Source
  /** A ratio of simulated to published that differs from 1 by more than this is no agreement. */
  readonly tolerance: number
  /** Fewer events say nothing of it: it is made by the rarest of them. */
  readonly eventsMin?: number
  of(statistics: EventStatistics): number
}

/**
 * `training events`: all 131,953,924; `batch 1`: the first 200,000 of them. Both as computed in public notebooks (Anjum48,
 * ISeeCube, C-Kitching/Kaggle). `ten real events`: counted pulse by pulse; such figures scatter by a quarter and more.
 */
export type Source = 'training events' | 'batch 1' | 'ten real events' | 'leaderboard'

/** Tolerances: 10 % for quantiles, 20 % for means that a few huge events dominate, 3 % for the line fit. */
const QUANTILE = 0.1
const MEAN_WITH_TAIL = 0.2
const LINE_FIT = 0.03
/** A sample of ten events or fewer allows no smaller tolerance. */
const TEN_EVENTS = 0.25
/** Two of ten events: between 0.04 and 0.5 with a probability of 90 %. */
const FEW_OF_TEN = 1
const EXTREME = 0.5
/** Least and largest values and deviations are those of batch 1, which has 200,000 events. */
const EXTREME_EVENTS_MIN = 100_000

type Of = Published['of']
type Known = Pick<Published, 'unit' | 'source' | 'tolerance' | 'eventsMin'>

const training: Known = { unit: '', source: 'training events', tolerance: QUANTILE }
const ns: Known = { unit: 'ns', source: 'batch 1', tolerance: QUANTILE }
const charge: Known = { unit: 'p.e.', source: 'batch 1', tolerance: QUANTILE }
const sample: Known = { unit: '', source: 'ten real events', tolerance: TEN_EVENTS }
const angle: Known = { unit: 'rad', source: 'training events', tolerance: QUANTILE }
const fit: Known = { unit: 'rad', source: 'batch 1', tolerance: LINE_FIT }

const PULSES = { 10: 39, 25: 48, 50: 63, 75: 89, 80: 100, 90: 144, 92.5: 171, 95: 222, 97.5: 393 }
const TIMES = { 25: 10_566, 50: 11_815, 75: 13_916 }
const FIRST_TIMES = { 25: 5973, 50: 6129, 75: 6405 }
const LAST_TIMES = { 25: 16_214, 50: 17_242, 75: 18_787 }
const SAMPLE_CHARGE = { ...sample, unit: 'p.e.' }

/** All of them, in the order of the report. */
export const PUBLISHED: readonly Published[] = [
  ...quantiles('pulses per event', training, PULSES, (s) => s.pulses),
  row('pulses per event, mean', 164.4, { ...training, tolerance: MEAN_WITH_TAIL }, (s) => s.pulses.mean()),
  row('pulses per event, deviation', 1553, { ...extreme(''), source: 'training events' }, (s) =>
    s.pulses.deviation(),
  ),
  row('share of events above 127 pulses', 0.13, training, (s) => s.pulses.shareAbove(127)),
  row('share of events above 1000 pulses', 0.0112, training, (s) => s.pulses.shareAbove(1000)),
  row('pulses per event, largest', 110_517, extreme(''), (s) => s.pulses.max),
  ...quantiles('time of a pulse', ns, TIMES, (s) => s.times),
  row('time of a pulse, mean', 13_130, ns, (s) => s.times.mean()),
  row('time of a pulse, least', 5714, { ...extreme('ns'), tolerance: QUANTILE }, (s) => s.times.min),
  row('time of a pulse, largest', 77_785, extreme('ns'), (s) => s.times.max),
  ...quantiles('first pulse of an event', ns, FIRST_TIMES, (s) => s.firstTimes),
  row('first pulse of an event, mean', 6748, ns, (s) => s.firstTimes.mean()),
  row('first pulse of an event, largest', 65_824, extreme('ns'), (s) => s.firstTimes.max),
  ...quantiles('last pulse of an event', ns, LAST_TIMES, (s) => s.lastTimes),
  row('last pulse of an event, mean', 18_412, ns, (s) => s.lastTimes.mean()),
  row('first pulse not auxiliary, median', 9872, { ...sample, unit: 'ns', tolerance: QUANTILE }, (s) =>
    s.firstHardTimes.quantile(0.5),
  ),
  ...quantiles('charge', charge, { 25: 0.775, 50: 1.075, 75: 1.775 }, (s) => s.charges),
  row('charge, mean', 3.909, { ...charge, tolerance: MEAN_WITH_TAIL }, (s) => s.charges.mean()),
  row('charge, deviation', 16.3, extreme('p.e.'), (s) => s.charges.deviation()),
  row('charge, least', 0.025, extreme('p.e.'), (s) => s.charges.min),
  row('charge, largest', 2762.02, extreme('p.e.'), (s) => s.charges.max),
  ...quantiles(
    'charge of auxiliary pulses',
    SAMPLE_CHARGE,
    { 5: 0.325, 25: 0.675, 50: 0.875, 75: 1.125, 95: 1.625 },
    (s) => s.softCharges,
  ),
  ...quantiles(
    'charge of other pulses',
    SAMPLE_CHARGE,
    { 5: 0.275, 25: 0.725, 50: 0.975, 75: 1.225, 95: 2.075 },
    (s) => s.hardCharges,
  ),
  row('charge of all these pulses, mean', 1, SAMPLE_CHARGE, (s) => s.sampleChargeMean()),
  row('share of pulses not auxiliary', 0.469, sample, (s) => s.hardShare()),
  row('pulses not auxiliary per event, median', 14, sample, (s) => s.hardPulses.quantile(0.5)),
  row('sensors per event, median', 43, sample, (s) => s.sensors.quantile(0.5)),
  row('sensors not auxiliary per event, median', 9.5, sample, (s) => s.hardSensors.quantile(0.5)),
  row('share of sensors with several pulses', 0.2, sample, (s) => s.severalPulsesShare()),
  row('gap between pulses of a sensor, median', 40, { ...sample, unit: 'ns' }, (s) => s.gaps.quantile(0.5)),
  row('share of these gaps below 10 ns', 0.241, sample, (s) => s.shortGapShare()),
  row('share of events below -150 m', 0.2, { ...sample, tolerance: FEW_OF_TEN }, (s) => s.deepShare()),
  row('noise before the light', 552, { ...sample, unit: 'Hz' }, (s) => s.noiseHz()),
  row('share of that noise on DeepCore strings', 0.139, sample, (s) => s.noiseInDeepCore()),
  row('sensors that answer', LIVING_SENSORS, { ...training, source: 'batch 1' }, (s) => s.livingSensors()),
  ...quantiles('zenith', angle, { 25: 1.005, 50: 1.527, 75: 2.055 }, (s) => s.zeniths),
  row('zenith, mean', 1.5344, angle, (s) => s.zeniths.mean()),
  row('zenith, deviation', 0.69, angle, (s) => s.zeniths.deviation()),
  row('azimuth, mean', 3.144, angle, (s) => s.azimuths.mean()),
  row('azimuth, deviation', 1.8135, angle, (s) => s.azimuths.deviation()),
  row('line fit, not auxiliary, mean error', 1.2172, fit, (s) => s.hardErrors.mean()),
  row('line fit by charge, not auxiliary, mean error', 1.2173, fit, (s) => s.hardChargeErrors.mean()),
  row('line fit, picked pulses, mean error', 1.18, { ...fit, source: 'leaderboard' }, (s) =>
    s.pickedErrors.mean(),
  ),
  row('line fit by charge, picked pulses, mean error', 1.1887, fit, (s) => s.pickedChargeErrors.mean()),
]

function extreme(unit: string): Known {
  return { unit, source: 'batch 1', tolerance: EXTREME, eventsMin: EXTREME_EVENTS_MIN }
}

function row(quantity: string, published: number, known: Known, of: Of): Published {
  return { quantity, published, ...known, of }
}

function quantiles(
  quantity: string,
  known: Known,
  percents: Readonly<Record<number, number>>,
  of: (statistics: EventStatistics) => Histogram,
): Published[] {
  return Object.entries(percents)
    .map(([percent, published]) => ({ percent: Number(percent), published }))
    .toSorted((a, b) => a.percent - b.percent)
    .map(({ percent, published }) =>
      row(`${quantity}, p${percent}`, published, known, (s) => of(s).quantile(percent / 100)),
    )
}
