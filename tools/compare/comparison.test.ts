import { describe, expect, it } from 'vitest'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { compareWithPublished, renderComparison } from './comparison.ts'
import { Histogram } from './histogram.ts'
import { EventStatistics } from './statistics.ts'

describe('Histogram', () => {
  it('has the quantiles, mean, maximum and shares of its values', () => {
    const histogram = new Histogram(1, 200, 0)
    for (let value = 0; value < 100; value++) histogram.add(value)
    expect(histogram.quantile(0.25)).toBe(25)
    expect(histogram.quantile(1)).toBe(99)
    expect(histogram.mean()).toBe(49.5)
    expect(histogram.max).toBe(99)
    expect(histogram.min).toBe(0)
    expect(histogram.shareAbove(89)).toBe(0.1)
    expect(histogram.deviation()).toBeCloseTo(Math.sqrt((100 ** 2 - 1) / 12), 9)
    expect(histogram.quantiles([0.1, 0.5, 0.99])).toEqual([10, 50, 99])
  })

  it('counts values above its bins in the last bin', () => {
    const histogram = new Histogram(1, 10, 0)
    histogram.add(1e9)
    histogram.add(-5)
    expect(histogram.quantile(0.9)).toBe(9)
    expect(histogram.max).toBe(1e9)
  })

  it('has no quantile without values', () => {
    expect(new Histogram(1, 10).quantile(0.5)).toBeNaN()
  })
})

describe('EventStatistics', () => {
  it('counts pulses, sensors, times and charges of each event', () => {
    const batch: EventBatch = {
      eventIds: BigInt64Array.of(1n, 2n),
      offsets: Int32Array.of(0, 3, 5),
      sensorIds: Uint16Array.of(10, 10, 11, 10, 12),
      times: Float32Array.of(9000, 9870, 9900, 6000, 16_000),
      charges: Float32Array.of(0.975, 0.975, 0.975, 1.025, 1.025),
      auxiliary: Uint8Array.of(1, 0, 0, 1, 1),
    }
    const statistics = new EventStatistics()
    statistics.add(batch)
    expect(statistics.events).toBe(2)
    expect(statistics.pulses.mean()).toBe(2.5)
    expect(statistics.sensors.mean()).toBe(2)
    expect(statistics.hardSensors.mean()).toBe(1)
    expect(statistics.firstHardTimes.quantile(0.5)).toBe(9870)
    expect(statistics.lastTimes.max).toBe(16_000)
    expect(statistics.hardShare()).toBe(0.4)
    expect(statistics.zeniths.count).toBe(0)
    // Three sensors were hit in total; sensor 10 was hit twice in the first event.
    expect(statistics.severalPulsesShare()).toBe(0.25)
    expect(statistics.livingSensors()).toBe(3)
    // One event has light; one auxiliary pulse precedes it by 870 ns.
    expect(statistics.noiseHz()).toBeCloseTo(1 / (5051 * 3.87e-6), 6)
    expect(statistics.noiseInDeepCore()).toBe(0)
    expect(statistics.hardPulses.mean()).toBe(1)
    expect(statistics.sampleChargeMean()).toBeCloseTo((3 * 0.975 + 2 * 1.025) / 5, 6)
  })

  it('has the errors of events with known truth', () => {
    const batch: EventBatch = {
      eventIds: BigInt64Array.of(1n, 2n),
      offsets: Int32Array.of(0, 2, 4),
      sensorIds: Uint16Array.of(59, 0, 59, 0),
      times: Float32Array.of(10_000, 12_000, 10_000, 12_000),
      charges: Float32Array.of(1, 1, 1, 1),
      auxiliary: Uint8Array.of(0, 0, 0, 0),
      truth: { azimuth: Float64Array.of(0, Number.NaN), zenith: Float64Array.of(Math.PI / 2, Number.NaN) },
    }
    const statistics = new EventStatistics()
    statistics.add(batch)
    expect(statistics.hardErrors.count).toBe(1)
    expect(statistics.hardErrors.mean()).toBeCloseTo(Math.PI / 2, 6)
    expect(statistics.pickedErrors.mean()).toBeCloseTo(Math.PI / 2, 6)
  })
})

describe('compareWithPublished()', () => {
  it('judges extreme values only for many events', () => {
    const of = (events: number) => {
      const statistics = new EventStatistics()
      statistics.events = events
      statistics.charges.add(100)
      const rows = compareWithPublished(statistics)
      return rows.find(({ quantity }) => quantity === 'charge, largest')
    }
    expect(of(1000)).toMatchObject({ simulated: 100, verdict: 'unknown' })
    expect(of(200_000)).toMatchObject({ simulated: 100, verdict: 'differs' })
  })
})

describe('renderComparison()', () => {
  it('lists every published quantity, including unknown ones', () => {
    const rows = compareWithPublished(new EventStatistics())
    const lines = renderComparison(rows).split('\n')
    expect(lines).toHaveLength(rows.length + 3)
    expect(lines[0]).toMatch(/^quantity +published +simulated +ratio +within +verdict +published of$/)
    expect(lines.find((line) => line.startsWith('pulses per event, p50'))).toMatch(
      / 63 +- +- +10 % +unknown +training events$/,
    )
  })

  it('has a tolerance of 10 % for quantiles and 3 % for the line fit', () => {
    const rows = compareWithPublished(new EventStatistics())
    expect(
      rows.filter(({ quantity }) => /, p\d/.test(quantity) && !/of (other|aux)/.test(quantity)),
    ).toSatisfy((quantiles: typeof rows) => quantiles.every(({ tolerance }) => tolerance === 0.1))
    const find = (name: string) => rows.find(({ quantity }) => quantity === name)
    expect(find('pulses per event, mean')).toMatchObject({ published: 164.4, tolerance: 0.2 })
    expect(find('line fit, not auxiliary, mean error')).toMatchObject({ published: 1.2172, tolerance: 0.03 })
  })

  it('applies the tolerance and names the differing figures below the table', () => {
    const batch: EventBatch = {
      eventIds: BigInt64Array.of(1n),
      offsets: Int32Array.of(0, 66),
      sensorIds: Uint16Array.from({ length: 66 }, (_, i) => i),
      times: new Float32Array(66).fill(9871),
      charges: new Float32Array(66).fill(1.025),
      auxiliary: new Uint8Array(66),
    }
    const statistics = new EventStatistics()
    statistics.add(batch)
    const rows = compareWithPublished(statistics)
    const verdict = (name: string) => rows.find(({ quantity }) => quantity === name)?.verdict
    expect(verdict('pulses per event, p50')).toBe('agrees')
    expect(verdict('pulses per event, p25')).toBe('differs')
    expect(verdict('zenith, p50')).toBe('unknown')
    expect(renderComparison(rows)).toMatch(/figures agree; these differ: .*pulses per event, p25/)
  })
})
