import { type EventBatch, eventCount } from '../../src/event/event-batch.ts'

export interface Expected {
  readonly azimuth: number
  readonly zenith: number
  readonly kappa?: number
  readonly degenerate?: boolean
}

/** A parity fixture of these events. */
export function toParity(batch: EventBatch, expected: readonly Expected[]) {
  const events = Array.from({ length: eventCount(batch) }, (_, event) => {
    const rows = [batch.offsets[event], batch.offsets[event + 1]] as const
    return {
      eventId: `${batch.eventIds[event]}`,
      sensorId: [...batch.sensorIds.slice(...rows)],
      time: [...batch.times.slice(...rows)],
      charge: [...batch.charges.slice(...rows)],
      auxiliary: [...batch.auxiliary.slice(...rows)],
      expected: expected[event],
    }
  })
  return { formatVersion: 1, madeBy: 'test/support/parity.ts', toleranceRad: 1e-5, events }
}
