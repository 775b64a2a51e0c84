import type { EventErrorCode } from '../errors.ts'
import type { EventBatch } from '../event/event-batch.ts'
import { SENSOR_COUNT } from '../event/sensors.ts'
import { show } from './json.ts'

/** What is wrong with one event, and where: `path` within the event, `problem` to be read after it. */
export interface PulseFault {
  readonly code: EventErrorCode
  readonly path: string
  readonly problem: string
}

const COLUMNS = ['sensor_id', 'time', 'charge', 'auxiliary'] as const
type Column = (typeof COLUMNS)[number]
type Fields = Record<Column, unknown>

/** Pulses that `pulses` claims to hold at most, for allocation; 0 for what is no pulses at all. */
export function pulsesIn(pulses: unknown): number {
  if (Array.isArray(pulses)) return pulses.length
  if (typeof pulses !== 'object' || pulses === null || !('sensor_id' in pulses)) return 0
  return Array.isArray(pulses.sensor_id) ? pulses.sensor_id.length : 0
}

/** Writes events into one batch, each checked as it is written; an event at fault leaves nothing behind. */
export class PulseWriter {
  readonly #eventIds: BigInt64Array
  readonly #offsets: Int32Array
  readonly #sensorIds: Uint16Array
  readonly #times: Float32Array
  readonly #charges: Float32Array
  readonly #auxiliary: Uint8Array
  #events = 0

  constructor(eventsMax: number, pulsesMax: number) {
    // One allocation for all six, widest elements first so that each is aligned: six take about as long as the checks.
    const [ids, offsets] = [8 * eventsMax, 4 * (eventsMax + 1)]
    const times = ids + offsets
    const buffer = new ArrayBuffer(times + 11 * pulsesMax)
    this.#eventIds = new BigInt64Array(buffer, 0, eventsMax)
    this.#offsets = new Int32Array(buffer, ids, eventsMax + 1)
    this.#times = new Float32Array(buffer, times, pulsesMax)
    this.#charges = new Float32Array(buffer, times + 4 * pulsesMax, pulsesMax)
    this.#sensorIds = new Uint16Array(buffer, times + 8 * pulsesMax, pulsesMax)
    this.#auxiliary = new Uint8Array(buffer, times + 10 * pulsesMax, pulsesMax)
  }

  /** Undefined when the event is in, otherwise why it is not. */
  append(id: bigint, pulses: unknown): PulseFault | undefined {
    const from = this.#offsets[this.#events]
    const fault = Array.isArray(pulses) ? this.#writeRecords(pulses, from) : this.#writeColumns(pulses, from)
    if (fault !== undefined) return fault
    const count = pulsesIn(pulses)
    if (count === 0) return { code: 'event_without_pulses', path: 'pulses', problem: 'holds no pulse' }
    this.#eventIds[this.#events] = id
    this.#events += 1
    this.#offsets[this.#events] = from + count
    return undefined
  }

  batch(): EventBatch {
    const isFull = this.#events === this.#eventIds.length
    return {
      eventIds: isFull ? this.#eventIds : this.#eventIds.subarray(0, this.#events),
      offsets: isFull ? this.#offsets : this.#offsets.subarray(0, this.#events + 1),
      sensorIds: this.#sensorIds,
      times: this.#times,
      charges: this.#charges,
      auxiliary: this.#auxiliary,
    }
  }

  #writeRecords(pulses: readonly unknown[], from: number): PulseFault | undefined {
    for (let i = 0; i < pulses.length; i++) {
      const pulse = pulses[i]
      if (typeof pulse !== 'object' || pulse === null) {
        return invalid(`pulses[${i}]`, `must be an object with ${COLUMNS.join(', ')}`)
      }
      // An object read by name: a missing field is undefined, which no check below lets pass.
      const { sensor_id, time, charge, auxiliary } = pulse as Fields
      const fault =
        this.#writeSensor(from + i, sensor_id) ??
        this.#writeTime(from + i, time) ??
        this.#writeCharge(from + i, charge) ??
        this.#writeAuxiliary(from + i, auxiliary)
      if (fault !== undefined) return { ...fault, path: `pulses[${i}].${fault.path}` }
    }
    return undefined
  }

  #writeColumns(pulses: unknown, from: number): PulseFault | undefined {
    if (typeof pulses !== 'object' || pulses === null) {
      return invalid(
        'pulses',
        'must be a list of pulses, or an object of the columns sensor_id, time, charge, auxiliary',
      )
    }
    const columns = pulses as Fields
    for (const column of COLUMNS) {
      if (!Array.isArray(columns[column])) return invalid(`pulses.${column}`, 'must be a list of values')
    }
    // The loop above has found all four to be lists.
    const { sensor_id, time, charge, auxiliary } = columns as Record<Column, readonly unknown[]>
    const count = sensor_id.length
    for (const column of COLUMNS.slice(1)) {
      const { length } = columns[column] as readonly unknown[]
      if (length === count) continue
      return invalid(
        `pulses.${column}`,
        `has ${length} values, sensor_id has ${count}; all columns must be equally long`,
      )
    }
    return (
      this.#writeEach(sensor_id, from, this.#writeSensor) ??
      this.#writeEach(time, from, this.#writeTime) ??
      this.#writeEach(charge, from, this.#writeCharge) ??
      this.#writeEach(auxiliary, from, this.#writeAuxiliary)
    )
  }

  #writeEach(
    values: readonly unknown[],
    from: number,
    write: (this: PulseWriter, row: number, value: unknown) => PulseFault | undefined,
  ): PulseFault | undefined {
    for (let i = 0; i < values.length; i++) {
      const fault = write.call(this, from + i, values[i])
      if (fault !== undefined) return { ...fault, path: `pulses.${fault.path}[${i}]` }
    }
    return undefined
  }

  #writeSensor(row: number, value: unknown): PulseFault | undefined {
    if (typeof value === 'number' && value >= 0 && value < SENSOR_COUNT && value === Math.trunc(value)) {
      this.#sensorIds[row] = value
      return undefined
    }
    const problem = `is ${show(value)}; sensors are the integers 0 to ${SENSOR_COUNT - 1}`
    return { code: 'sensor_id_unknown', path: 'sensor_id', problem }
  }

  #writeTime(row: number, value: unknown): PulseFault | undefined {
    if (typeof value === 'number') {
      this.#times[row] = value
      const time = this.#times[row]
      // Only a finite number less itself is 0; read back, so that what float32 cannot hold is refused too.
      if (time - time === 0) return undefined
    }
    return {
      code: 'time_not_finite',
      path: 'time',
      problem: `is ${show(value)}; it must be a finite number of ns`,
    }
  }

  #writeCharge(row: number, value: unknown): PulseFault | undefined {
    if (typeof value === 'number') {
      this.#charges[row] = value
      const charge = this.#charges[row]
      if (charge > 0 && charge - charge === 0) return undefined
      if (charge <= 0) {
        const problem = `is ${show(value)}; it must be above 0 photo-electrons`
        return { code: 'charge_not_positive', path: 'charge', problem }
      }
    }
    const problem = `is ${show(value)}; it must be a finite number of photo-electrons`
    return { code: 'charge_not_finite', path: 'charge', problem }
  }

  #writeAuxiliary(row: number, value: unknown): PulseFault | undefined {
    if (value === false || value === true || value === 0 || value === 1) {
      this.#auxiliary[row] = Number(value)
      return undefined
    }
    const problem = `is ${show(value)}; it must be true, false, 1 or 0`
    return { code: 'auxiliary_not_boolean', path: 'auxiliary', problem }
  }
}

function invalid(path: string, problem: string): PulseFault {
  return { code: 'source_value_invalid', path, problem }
}
