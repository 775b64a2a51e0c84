import { describe, expect, it } from 'vitest'
import {
  formatAge,
  formatBeat,
  formatCharge,
  formatCount,
  formatDegrees,
  formatDuration,
  formatMicroseconds,
  formatRadians,
  formatRate,
  formatShort,
} from './format.ts'

describe('numbers on the page', () => {
  it.each([
    [formatCount(1_234_567), '1,234,567'],
    [formatRate(3_046.4), '3,046'],
    [formatRate(12.34), '12.3'],
    [formatRate(0), '0'],
    [formatDegrees(Math.PI), '180.0°'],
    [formatRadians(1.0281), '1.028'],
    [formatRadians(null), '–'],
    [formatDuration(null), '–'],
    [formatDuration(0), '0\u2009ms'],
    [formatDuration(999.6), '1.0\u2009s'],
    [formatDuration(9_960), '10\u2009s'],
    [formatDuration(180_000), '3\u2009min'],
    [formatDuration(86_400_000), '24\u2009h'],
    [formatAge(400), 'now'],
    [formatAge(-5), 'now'],
    [formatAge(2_400), '2.0\u2009s'],
    [formatBeat(-20), '0.0\u2009s'],
    [formatBeat(1_540), '1.5\u2009s'],
    [formatBeat(65_000), '65\u2009s'],
    [formatCharge(12.34), '12.3\u2009p.e.'],
    [formatCharge(3_035.9), '3,036\u2009p.e.'],
    [[250, 20_000, 3_000_000].map(formatShort).join(), '250,20k,3M'],
    [formatMicroseconds(1_234), '1.23\u2009µs'],
  ])('%s', (written, wanted) => {
    expect(written).toBe(wanted)
  })
})
