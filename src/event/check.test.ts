import { describe, expect, it } from 'vitest'
import { randomEvents } from '../../test/support/random-events.ts'
import { checkEvents } from './check.ts'
import type { EventBatch } from './event-batch.ts'

/** Events 17 (pulses in rows 0 to 3), 18 (rows 4 and 5) and 19 (row 6), with one value spoilt. */
function spoilt(spoil: (batch: EventBatch) => void): EventBatch {
  const batch = {
    ...randomEvents({ events: 3 }),
    eventIds: BigInt64Array.of(17n, 18n, 19n),
    offsets: Int32Array.of(0, 4, 6, 7),
  }
  spoil(batch)
  return batch
}

const cases = [
  {
    code: 'sensor_id_unknown',
    spoil: (batch: EventBatch) => batch.sensorIds.set([9000], 3),
    message: 'event 17: pulse 3 has sensor id 9000; sensors are 0 to 5159',
  },
  {
    code: 'sensor_id_unknown',
    spoil: (batch: EventBatch) => batch.sensorIds.set([5160], 5),
    message: 'event 18: pulse 1 has sensor id 5160; sensors are 0 to 5159',
  },
  {
    code: 'time_not_finite',
    spoil: (batch: EventBatch) => batch.times.set([Number.NaN], 4),
    message: 'event 18: pulse 0 has time NaN; times are finite, in ns',
  },
  {
    code: 'time_not_finite',
    spoil: (batch: EventBatch) => batch.times.set([Number.NEGATIVE_INFINITY], 6),
    message: 'event 19: pulse 0 has time -Infinity; times are finite, in ns',
  },
  {
    code: 'charge_not_finite',
    spoil: (batch: EventBatch) => batch.charges.set([Number.NaN], 1),
    message: 'event 17: pulse 1 has charge NaN; charges are finite, in photo-electrons',
  },
  {
    code: 'charge_not_finite',
    spoil: (batch: EventBatch) => batch.charges.set([Number.POSITIVE_INFINITY], 1),
    message: 'event 17: pulse 1 has charge Infinity; charges are finite, in photo-electrons',
  },
  {
    code: 'charge_not_positive',
    spoil: (batch: EventBatch) => batch.charges.set([0], 1),
    message: 'event 17: pulse 1 has charge 0; charges are above 0',
  },
  {
    code: 'charge_not_positive',
    spoil: (batch: EventBatch) => batch.charges.set([-0.5], 1),
    message: 'event 17: pulse 1 has charge -0.5; charges are above 0',
  },
  {
    code: 'auxiliary_not_boolean',
    spoil: (batch: EventBatch) => batch.auxiliary.set([2], 5),
    message: 'event 18: pulse 1 has auxiliary 2; it is 0 or 1',
  },
  {
    code: 'event_without_pulses',
    spoil: (batch: EventBatch) => batch.offsets.set([4], 2),
    message: 'event 18: no pulses; an event has at least one',
  },
  {
    code: 'event_id_repeated',
    spoil: (batch: EventBatch) => batch.eventIds.set([17n], 2),
    message: 'event 17: an earlier event of the batch has the same id',
  },
  {
    code: 'event_id_repeated',
    spoil: (batch: EventBatch) => batch.eventIds.set([18n], 2),
    message: 'event 18: an earlier event of the batch has the same id',
  },
] as const

describe('checkEvents()', () => {
  it('finds nothing in sound events', () => {
    expect(checkEvents(spoilt(() => {}))).toEqual([])
    expect(checkEvents(randomEvents({ events: 0 }))).toEqual([])
  })

  it.each(cases)('names event and value: $message', ({ code, spoil, message }) => {
    const faults = checkEvents(spoilt(spoil))
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatchObject({ code, message })
  })

  it('finds one fault per faulty event, whatever else is wrong', () => {
    const faults = checkEvents(spoilt((batch) => batch.charges.fill(-1)))
    expect(faults.map((fault) => [fault.index, fault.eventId])).toEqual([
      [0, 17n],
      [1, 18n],
      [2, 19n],
    ])
  })

  it('takes the extremes that are allowed', () => {
    const batch = spoilt(({ sensorIds, times, charges }) => {
      sensorIds.set([0, 5159])
      times.set([-3.4e38, 3.4e38])
      charges.set([1e-38, 3.4e38])
    })
    expect(checkEvents(batch)).toEqual([])
  })

  it('takes ids in any order and below 0 as long as none repeats', () => {
    expect(checkEvents(spoilt((batch) => batch.eventIds.set([5n, -9n, 2n])))).toEqual([])
  })
})
