import { TOPOLOGIES } from '../event/event-batch.ts'
import { type Calibration, calibrate } from './calibration.ts'
import type { EventFacts, FailedEvent, ModelAnswers } from './evaluate.ts'
import {
  type BinSummary,
  type BootstrapOptions,
  cumulativeShares,
  DEFAULT_BOOTSTRAP,
  type ErrorSummary,
  type Interval,
  meanInterval,
  meanOf,
  type Quantiles,
  quantile,
  quantilesOf,
  summarise,
  summariseByBin,
} from './statistics.ts'

export interface TopologySummary extends ErrorSummary {
  readonly topology: string
}

/** Opening angles between predictions and references, radians. A reference is not the truth, so these are no errors. */
export interface ReferenceSummary {
  /** Events with a direction and a reference. */
  readonly events: number
  readonly medianRad: number
  readonly p90Rad: number
  readonly maxRad: number
}

/** The results of one model. Radians; the same for the same data and seed, except for `eventsPerSecond`. */
export interface ModelReport extends ErrorSummary {
  /** Name that is unique in the report. */
  readonly label: string
  /** The value of `--model`. */
  readonly spec: string
  readonly model: string
  readonly version: string
  /** Events with a direction; `events` counts those of them with known truth. */
  readonly predicted: number
  readonly failed: Readonly<Record<string, number>>
  /** The first failed events, with a readable reason. */
  readonly failedExamples: readonly FailedEvent[]
  readonly degenerate: number
  readonly eventsPerSecond: number
  readonly quantilesRad: Quantiles | null
  readonly byPulseCount: readonly BinSummary[]
  readonly byZenith: readonly BinSummary[]
  /** Empty if the data has no topologies. */
  readonly byTopology: readonly TopologySummary[]
  /** Share of events with at most each error. */
  readonly cumulative: readonly { readonly angleRad: number; readonly share: number }[]
  /** Null if no predicted event has a reference. */
  readonly reference: ReferenceSummary | null
  /** Null for a model that gives no concentration. */
  readonly calibration: Calibration | null
}

/** Two models on the events that both have answered: far more sensitive than comparing two intervals. */
export interface ModelDifference {
  readonly model: string
  readonly against: string
  readonly events: number
  /** Mean over events of the error of `model` minus that of `against`: below 0 if `model` is better. */
  readonly meanDifferenceRad: number
  readonly meanDifferenceIntervalRad: Interval
  /** Share of the events on which `model` has the smaller error. */
  readonly betterShare: number
}

export interface EvaluationReport {
  readonly formatVersion: 1
  readonly data: string
  /** Events read. */
  readonly events: number
  readonly eventsWithTruth: number
  readonly eventsWithReference: number
  readonly bootstrap: BootstrapOptions
  readonly models: readonly ModelReport[]
  readonly differences: readonly ModelDifference[]
}

export interface NamedAnswers {
  readonly spec: string
  readonly answers: ModelAnswers
}

const PULSE_EDGES = [1, 32, 48, 64, 96, 128, 192, 256, 512, 1024, Number.POSITIVE_INFINITY]
const ZENITH_EDGES = Array.from({ length: 7 }, (_, index) => (Math.PI * index) / 6)
/** A tenth of a degree to 180 degrees, evenly in the logarithm. */
const ANGLES = Array.from({ length: 131 }, (_, i) => (Math.PI / 180) * 0.1 * 1800 ** (i / 130))

export function makeReport(
  data: string,
  facts: EventFacts,
  models: readonly NamedAnswers[],
  bootstrap: BootstrapOptions = DEFAULT_BOOTSTRAP,
): EvaluationReport {
  const labels = labelsOf(models)
  const pairs = models.flatMap((_, a) => models.slice(a + 1).map((_, i) => [a, a + 1 + i] as const))
  return {
    formatVersion: 1,
    data,
    events: facts.pulses.length,
    eventsWithTruth: facts.zenith.reduce((count, zenith) => count + (Number.isNaN(zenith) ? 0 : 1), 0),
    eventsWithReference: facts.hasReference.reduce((count, has) => count + has, 0),
    bootstrap,
    models: models.map((model, i) => reportOf(model, facts, { label: labels[i], bootstrap })),
    differences: pairs.flatMap(([a, b]) =>
      differenceOf([models[a].answers, models[b].answers], [labels[a], labels[b]], bootstrap),
    ),
  }
}

/** The shortest of name, name and version, or spec that distinguishes all models; numbered if none does. */
function labelsOf(models: readonly NamedAnswers[]): string[] {
  const choices = [
    models.map(({ answers }) => answers.model),
    models.map(({ answers }) => `${answers.model} ${answers.version}`),
    models.map(({ spec }) => spec),
  ]
  const distinct = choices.find((labels) => new Set(labels).size === labels.length)
  return distinct ?? models.map(({ spec }, i) => `${i + 1}: ${spec}`)
}

interface ReportOptions {
  readonly label: string
  readonly bootstrap: BootstrapOptions
}

function reportOf({ spec, answers }: NamedAnswers, facts: EventFacts, options: ReportOptions): ModelReport {
  const { label, bootstrap } = options
  const { model, version, predicted, failed, failedExamples, degenerate, seconds, kappa } = answers
  const known = (column: Float64Array) => column.filter((_, event) => !Number.isNaN(answers.error[event]))
  const error = known(answers.error)
  const sorted = error.toSorted()
  const shares = error.length === 0 ? [] : cumulativeShares(sorted, ANGLES)
  const calibration = calibrate(error, known(kappa))
  const events = facts.pulses.length
  return {
    label,
    spec,
    model,
    version,
    predicted,
    failed,
    failedExamples,
    degenerate,
    eventsPerSecond: seconds > 0 ? rounded(events / seconds) : 0,
    ...summarise(error, bootstrap),
    quantilesRad: quantilesOf(error),
    byPulseCount: summariseByBin(error, known(facts.pulses), PULSE_EDGES, bootstrap),
    byZenith: summariseByBin(error, known(facts.zenith), ZENITH_EDGES, bootstrap),
    byTopology: summariseByTopology(error, known(facts.topology), bootstrap),
    cumulative: shares.map((share, i) => ({ angleRad: ANGLES[i], share })),
    reference: summariseReference(answers.referenceAngle),
    calibration: calibration ?? null,
  }
}

function summariseReference(angles: Float64Array): ReferenceSummary | null {
  const sorted = angles.filter((angle) => !Number.isNaN(angle)).sort()
  if (sorted.length === 0) return null
  const [medianRad, p90Rad, maxRad] = [0.5, 0.9, 1].map((fraction) => quantile(sorted, fraction))
  return { events: sorted.length, medianRad, p90Rad, maxRad }
}

/** Rounded to an integer if it is large; a large network on a CPU reaches a few events/s. */
function rounded(eventsPerSecond: number): number {
  return eventsPerSecond < 100 ? Number(eventsPerSecond.toPrecision(2)) : Math.round(eventsPerSecond)
}

function summariseByTopology(
  error: Float64Array,
  topology: Float64Array,
  bootstrap: BootstrapOptions,
): TopologySummary[] {
  return TOPOLOGIES.flatMap((name, index) => {
    if (name === 'unknown') return []
    const ofKind = error.filter((_, event) => topology[event] === index)
    return ofKind.length === 0 ? [] : [{ topology: name, ...summarise(ofKind, bootstrap) }]
  })
}

/** Empty if no event has been answered by both. */
function differenceOf(
  [one, other]: readonly [ModelAnswers, ModelAnswers],
  [model, against]: readonly [string, string],
  bootstrap: BootstrapOptions,
): ModelDifference[] {
  const differences = one.error
    .map((error, event) => error - other.error[event])
    .filter((difference) => !Number.isNaN(difference))
  if (differences.length === 0) return []
  const better = differences.reduce((count, difference) => count + (difference < 0 ? 1 : 0), 0)
  return [
    {
      model,
      against,
      events: differences.length,
      meanDifferenceRad: meanOf(differences),
      meanDifferenceIntervalRad: meanInterval(differences, bootstrap),
      betterShare: better / differences.length,
    },
  ]
}

/** Rounds to five decimals, below 0.001 degrees. */
export function toJson(report: EvaluationReport, indent?: number): string {
  const round = (_key: string, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toFixed(5)) : value
  return JSON.stringify(report, round, indent)
}
