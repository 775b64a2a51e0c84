import { readFile } from 'node:fs/promises'
import { UsageError } from '../errors.ts'
import { SENSOR_COUNT, sensorPositions } from '../event/sensors.ts'

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
