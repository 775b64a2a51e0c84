import type { Axis, Series, Tick } from './chart.ts'

/** Maps values to positions along an axis. */
export interface Scale {
  /** Labelled ticks within the axis. */
  readonly ticks: readonly Tick[]
  /** Ticks without a label, between the decades of a logarithmic axis. */
  readonly minorTicks: readonly number[]
  /** 0 at the axis' lower end, 1 at its upper; NaN for a value that the axis cannot show. */
  toShare(value: number): number
}

/** @throws RangeError if an end of a logarithmic axis is 0 or less */
export function buildScale(axis: Axis, values: Iterable<number>): Scale {
  const isLog = axis.scale === 'log'
  const [min, max] = domainOf(axis, values)
  if (isLog && min <= 0) throw new RangeError(`the logarithmic axis "${axis.label}" cannot begin at ${min}`)
  const [from, to] = isLog ? [Math.log10(min), Math.log10(max)] : [min, max]
  const isWithin = (value: number) => value >= min - 1e-9 * (max - min) && value <= max + 1e-9 * (max - min)
  const ticks = axis.ticks ?? (isLog ? logTicks(min, max) : linearTicks(min, max, axis.tickStep))
  return {
    ticks: ticks.filter(({ value }) => isWithin(value)),
    minorTicks: isLog && !axis.ticks ? minorTicks(min, max).filter(isWithin) : [],
    toShare(value) {
      if (isLog && !(value > 0)) return Number.NaN
      return ((isLog ? Math.log10(value) : value) - from) / (to - from)
    },
  }
}

function domainOf(axis: Axis, values: Iterable<number>): [number, number] {
  const isLog = axis.scale === 'log'
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (const value of values) {
    if (!Number.isFinite(value) || (isLog && value <= 0)) continue
    least = Math.min(least, value)
    most = Math.max(most, value)
  }
  if (least > most) [least, most] = isLog ? [1, 10] : [0, 1]
  const margin = isLog ? 1.15 : (most - least || Math.abs(most) || 1) * 0.05
  const min = axis.min ?? (isLog ? least / margin : least - margin)
  const max = axis.max ?? (isLog ? most * margin : most + margin)
  return max > min ? [min, max] : [min, isLog ? min * 10 : min + 1]
}

/** All values of the series along one axis. */
export function* valuesAlong(axis: 'x' | 'y', series: readonly Series[]): Iterable<number> {
  for (const each of series) {
    if (each.kind === 'rule') {
      const value = each[axis]
      if (value !== undefined) yield value
    } else {
      for (const column of columnsOf(axis, each)) yield* Array.from(column)
    }
  }
}

function columnsOf(axis: 'x' | 'y', series: Exclude<Series, { kind: 'rule' }>): ArrayLike<number>[] {
  const none: ArrayLike<number> = []
  switch (series.kind) {
    case 'line':
      return [series[axis]]
    case 'step':
      return axis === 'x' ? [series.edges] : [series.values, series.low ?? none, series.high ?? none]
    case 'band':
      return axis === 'x' ? [series.x] : [series.low, series.high]
    case 'points':
      return axis === 'x'
        ? [series.x, series.xLow ?? none, series.xHigh ?? none]
        : [series.y, series.low ?? none, series.high ?? none]
  }
}

/** Multiples of 1, 2 or 5 times a power of ten, five or six of them. */
function linearTicks(min: number, max: number, given?: number): Tick[] {
  const rough = (max - min) / 6
  const decade = 10 ** Math.floor(Math.log10(rough))
  const step = given ?? decade * ([1, 2, 5].find((factor) => factor * decade >= rough) ?? 10)
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  const first = Math.ceil(min / step - 1e-9)
  const last = Math.floor(max / step + 1e-9)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
    const value = (first + i) * step
    return { value, label: minus(value.toFixed(step % 1 === 0 ? 0 : digits)) }
  })
}

/** Powers of ten; if there are fewer than three, also 2 and 5 times each. */
function logTicks(min: number, max: number): Tick[] {
  const from = Math.floor(Math.log10(min))
  const to = Math.ceil(Math.log10(max))
  const decades = Math.log10(max) - Math.log10(min)
  const factors = decades < 2.5 ? [1, 2, 5] : [1]
  const every = Math.max(1, Math.ceil(decades / 7))
  const ticks: Tick[] = []
  for (let power = from; power <= to; power += every) {
    for (const factor of factors)
      ticks.push({ value: factor * 10 ** power, label: powerLabel(factor, power, from, to) })
  }
  return ticks
}

/** Plain numbers on an axis between 0.001 and 10,000, powers of ten otherwise. */
function powerLabel(factor: number, power: number, from: number, to: number): string {
  if (from >= -3 && to <= 5)
    return power < 0 ? (factor * 10 ** power).toFixed(-power) : String(factor * 10 ** power)
  const exponent = String(power).replace(/./g, (digit) => (digit === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]))
  return `${factor === 1 ? '' : `${factor} · `}10${exponent}`
}

function minorTicks(min: number, max: number): number[] {
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++) {
    for (let factor = 2; factor < 10; factor++) ticks.push(factor * 10 ** power)
  }
  return ticks
}

function minus(text: string): string {
  return text.replace('-', '−')
}
