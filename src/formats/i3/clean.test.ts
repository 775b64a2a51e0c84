import { expect, it } from 'vitest'
import { cleanPulses } from './clean.ts'
import { PULSE_FLAG, PulseColumns, packKey } from './pulse-series.ts'

const HLC = PULSE_FLAG.localCoincidence

/** Pulses as [string, module, time, flags], in the order of channels. */
function seriesOf(pulses: readonly (readonly [number, number, number, number])[]) {
  const columns = new PulseColumns()
  const channels = Map.groupBy(pulses, ([string, module]) => packKey(string, module, 0))
  for (const [key, of] of [...channels].sort(([a], [b]) => a - b)) {
    columns.beginChannel(key)
    for (const [, , time, flags] of of) columns.add(time, 1, 8, flags)
    columns.endChannel()
  }
  return columns.toSeries()
}

const track = [10, 11, 12, 13].map((module, i) => [20, module, 10_000 + 60 * i, HLC] as const)

it('keeps what is near in place and time to a seed, and drops the rest', () => {
  const series = seriesOf([
    ...track,
    [20, 16, 10_900, 0], // soft, near the last of the track
    [20, 17, 11_500, 0], // near that one
    [20, 30, 10_100, 0], // 340 m away
    [20, 12, 12_600, 0], // 1,100 ns after the last that is near
  ])
  expect([...cleanPulses(series).times].sort()).toEqual([10_000, 10_060, 10_120, 10_180, 10_900, 11_500])
})

it('takes no seed with fewer than two neighbours', () => {
  expect(cleanPulses(seriesOf([...track.slice(0, 2), [20, 13, 10_100, 0]])).times).toHaveLength(0)
  expect(cleanPulses(seriesOf(track.slice(0, 3))).times).toHaveLength(3)
})

it('keeps the densest 6,000 ns of a long chain of pulses', () => {
  const chain = Array.from({ length: 13 }, (_, i) => [20, 10, 10_000 + 900 * i, HLC] as const)
  const dense = [11, 12].map((module) => [20, module, 20_000, HLC] as const)
  const { times } = cleanPulses(seriesOf([...chain, ...dense]))
  expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(6_000)
  expect([...times].filter((time) => time === 20_000)).toHaveLength(2)
})

it('leaves out channels that are not sensors of the ice', () => {
  const tanks = [61, 61, 61].map((module, i) => [20, module, 10_000 + i, HLC] as const)
  expect(cleanPulses(seriesOf(tanks)).times).toHaveLength(0)
})

it('is quick for an event of very many pulses', () => {
  const pulses = Array.from(
    { length: 200_000 },
    (_, i) => [20, 10 + (i % 5), 10_000 + (i >> 6), HLC] as const,
  )
  const series = seriesOf(pulses)
  const startMs = performance.now()
  expect(cleanPulses(series).times).toHaveLength(200_000)
  expect(performance.now() - startMs).toBeLessThan(5_000)
})
