import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UsageError } from '../errors.ts'
import { SENSOR_COUNT, STRING_COUNT, sensorPositions, stringOf } from '../event/sensors.ts'
import type { PulseRows } from '../formats/parquet/read.ts'

/**
 * Checks `sensor_geometry.csv` in a folder of pulse files or in the folder above, where there is one.
 * @throws UsageError `source_unreadable` as `checkGeometry` does
 */
export async function checkGeometryBeside(folder: string): Promise<void> {
  const found = [folder, dirname(folder)].map((each) => join(each, 'sensor_geometry.csv')).find(existsSync)
  if (found) await checkGeometry(found)
}

/** A few wrong sensor ids cost their events; more pulses than this share, of this many sensors, are another detector's. */
const UNKNOWN_SHARE_MAX = 0.01
const UNKNOWN_SENSORS_MIN = 10
/** So many pulses of so many events reach every string of IceCube, if only by noise. */
const STRINGS_MIN = 70
const JUDGED_PULSES_MIN = 20_000
const JUDGED_EVENTS_MIN = 100

const JUDGED_ROWS = 65_536

/**
 * Looks at the sensor ids of the first 65,536 pulses of a file for signs of another detector. Another detector whose ids all
 * occur in IceCube too cannot be told apart by them.
 */
export class SensorCheck {
  readonly #strings = new Set<number>()
  readonly #unknown = new Set<number | string>()
  #pulses = 0
  #events = 0
  #unknownPulses = 0
  #isRefused = false

  /** The judgement was that these are events of another detector. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /** Enough pulses have been seen. */
  get isComplete(): boolean {
    return this.#pulses >= JUDGED_ROWS
  }

  add({ sensorIds, eventIds, eventIdWords: words, faults }: PulseRows): void {
    for (let i = 0; i < eventIds.length; i++) {
      if (i === 0 || words[2 * i] !== words[2 * i - 2] || words[2 * i + 1] !== words[2 * i - 1])
        this.#events++
      if (sensorIds[i] < SENSOR_COUNT) this.#strings.add(stringOf(sensorIds[i]))
      else this.#countUnknown(sensorIds[i])
    }
    // Ids that the event form cannot hold stand as 0 in the rows.
    for (const { column, value } of faults) if (column === 'sensor_id') this.#countUnknown(value)
    this.#pulses += eventIds.length
  }

  /**
   * A doubt in words, or undefined.
   * @throws UsageError `source_unreadable` where many pulses are of sensors that IceCube does not have
   */
  judge(file: string): string | undefined {
    const [pulses, strings] = [this.#pulses, this.#strings.size]
    if (this.#unknown.size >= UNKNOWN_SENSORS_MIN && this.#unknownPulses > UNKNOWN_SHARE_MAX * pulses) {
      this.#isRefused = true
      const what = `${this.#unknownPulses} of its first ${pulses} pulses are of sensors other than 0 to ${SENSOR_COUNT - 1}`
      throw wrong(file, `is not of IceCube-86: ${what}`)
    }
    if (pulses < JUDGED_PULSES_MIN || this.#events < JUDGED_EVENTS_MIN || strings >= STRINGS_MIN)
      return undefined
    return `${file}: its first ${pulses} pulses are of ${strings} of the ${STRING_COUNT} strings: is it another detector than IceCube-86?`
  }

  #countUnknown(sensor: number | string): void {
    this.#unknownPulses++
    this.#unknown.add(sensor)
  }
}

/** Published coordinates are given to 1 cm; half a millimetre more for the rounding of float32. */
const TOLERANCE_M = 0.0105

/**
 * Checks that a data set's `sensor_geometry.csv` (sensor_id, x, y, z in metres) is the detector that nustream knows.
 * @throws UsageError `source_unreadable` naming the first sensor that is missing or elsewhere
 */
export async function checkGeometry(file: string): Promise<void> {
  const [header, ...lines] = (await readFile(file, 'utf8')).trim().split(/\r?\n/)
  const names = header.split(',').map((name) => name.trim().replaceAll('"', ''))
  const columns = ['sensor_id', 'x', 'y', 'z'].map((name) => names.indexOf(name))
  if (columns.includes(-1)) {
    throw wrong(file, `has columns ${names.join(', ')}; it should have sensor_id, x, y, z`)
  }
  const seen = new Uint8Array(SENSOR_COUNT)
  for (const line of lines) {
    const fields = line.split(',')
    const [id, ...position] = columns.map((column) => Number.parseFloat(fields[column]))
    if (!(Number.isInteger(id) && id >= 0 && id < SENSOR_COUNT)) {
      throw wrong(file, `has a sensor ${fields[columns[0]]}; IceCube's are 0 to ${SENSOR_COUNT - 1}`)
    }
    const ours = Array.from(sensorPositions.subarray(3 * id, 3 * id + 3))
    if (!ours.every((value, axis) => Math.abs(value - position[axis]) <= TOLERANCE_M)) {
      const known = ours.map((value) => value.toFixed(2)).join(', ')
      throw wrong(file, `puts sensor ${id} at (${position.join(', ')}) m; nustream knows it at (${known}) m`)
    }
    seen[id] = 1
  }
  const missing = seen.indexOf(0)
  if (missing >= 0) throw wrong(file, `lacks sensor ${missing}`)
}

function wrong(file: string, what: string): UsageError {
  const meaning = 'this is another detector, whose directions would come out wrong'
  return new UsageError('source_unreadable', `${file} ${what}: ${meaning}`)
}
