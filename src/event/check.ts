import { EventError, type EventErrorCode } from '../errors.ts'
import { type EventBatch, eventCount } from './event-batch.ts'
import { SENSOR_COUNT } from './sensors.ts'

/** Why one event of a batch cannot be processed. */
export interface EventFault {
  /** Index of the event in the batch. */
  readonly index: number
  readonly eventId: bigint
  readonly code: EventErrorCode
  /** Names the event's id, the pulse (counted from 0) and the offending value. */
  readonly message: string
}

/** The first fault of each faulty event, in the order of the events. Of events with one id, all but the first are faulty. */
export function checkEvents(batch: EventBatch): EventFault[] {
  const faults: EventFault[] = []
  const isRepeated = repeats(batch.eventIds)
  for (let i = 0; i < eventCount(batch); i++) {
    const from = batch.offsets[i]
    const to = batch.offsets[i + 1]
    const isSound = to > from && !isRepeated(i) && firstFaultyPulse(batch, from, to) === to
    if (!isSound) faults.push(describeFault(batch, i, isRepeated(i)))
  }
  return faults
}

export function toEventError(fault: EventFault): EventError {
  return new EventError(fault.code, fault.message)
}

/** Ids mostly ascend, and then no table of them is needed. */
function repeats(eventIds: BigInt64Array): (index: number) => boolean {
  let ascending = true
  for (let i = 1; i < eventIds.length && ascending; i++) ascending = eventIds[i] > eventIds[i - 1]
  if (ascending) return () => false
  const firstIndex = new Map<bigint, number>()
  for (const [i, id] of eventIds.entries()) if (!firstIndex.has(id)) firstIndex.set(id, i)
  return (index) => firstIndex.get(eventIds[index]) !== index
}

/** Row of the first pulse at fault, or `to`. */
function firstFaultyPulse(batch: EventBatch, from: number, to: number): number {
  const { sensorIds, times, charges, auxiliary } = batch
  for (let row = from; row < to; row++) {
    const charge = charges[row]
    const time = times[row]
    // A difference with itself is 0 for every finite number and NaN for all others.
    const areFinite = time - time === 0 && charge - charge === 0
    if (!(areFinite && charge > 0 && sensorIds[row] < SENSOR_COUNT && auxiliary[row] <= 1)) return row
  }
  return to
}

function describeFault(batch: EventBatch, index: number, isRepeated: boolean): EventFault {
  const eventId = batch.eventIds[index]
  const fault = (code: EventErrorCode, what: string): EventFault => {
    return { index, eventId, code, message: `event ${eventId}: ${what}` }
  }
  if (isRepeated) return fault('event_id_repeated', 'an earlier event of the batch has the same id')
  const from = batch.offsets[index]
  const to = batch.offsets[index + 1]
  if (to <= from) return fault('event_without_pulses', 'no pulses; an event has at least one')

  const row = firstFaultyPulse(batch, from, to)
  const pulse = `pulse ${row - from} has`
  const [sensorId, time, charge] = [batch.sensorIds[row], batch.times[row], batch.charges[row]]
  if (sensorId >= SENSOR_COUNT) {
    return fault('sensor_id_unknown', `${pulse} sensor id ${sensorId}; sensors are 0 to ${SENSOR_COUNT - 1}`)
  }
  if (!Number.isFinite(time))
    return fault('time_not_finite', `${pulse} time ${time}; times are finite, in ns`)
  if (!Number.isFinite(charge)) {
    return fault('charge_not_finite', `${pulse} charge ${charge}; charges are finite, in photo-electrons`)
  }
  if (charge <= 0) return fault('charge_not_positive', `${pulse} charge ${charge}; charges are above 0`)
  return fault('auxiliary_not_boolean', `${pulse} auxiliary ${batch.auxiliary[row]}; it is 0 or 1`)
}
