import { describe, expect, it } from 'vitest'
import type { EventBatch } from '../event/event-batch.ts'
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
    expect(histogram.shareAbove(89)).toBe(0.1)
  })

  it('keeps what is beyond its bins in the last', () => {
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
    expect(statistics.sampleHardPulses / statistics.samplePulses).toBe(0.4)
    expect(statistics.zeniths.count).toBe(0)
  })
})

describe('renderComparison()', () => {
  it('is a table of every published quantity, also where nothing is known of it', () => {
    const rows = compareWithPublished(new EventStatistics())
    const lines = renderComparison(rows).split('\n')
    expect(lines).toHaveLength(rows.length + 1)
    expect(lines[0]).toMatch(/^quantity +published +simulated +ratio +published of$/)
    expect(lines.find((line) => line.startsWith('pulses per event, p50'))).toMatch(
      / 63 +- +- +training events$/,
    )
  })
})
