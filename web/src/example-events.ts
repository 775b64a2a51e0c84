import type { DirectionRad, DrawnEvent } from '../../src/display/messages.ts'
import { toSourceVector } from '../../src/event/direction.ts'
import { SENSOR_COUNT, sensorPositions } from '../../src/event/sensors.ts'
import { dot, minus, times, type Vector } from './vector.ts'

const LIGHT_M_PER_NS = 0.2998

/** Events for tests, computed from geometry only. */
export function exampleTrack(direction: DirectionRad, through: Vector = [0, 0, 0]): DrawnEvent {
  const travel = times(toSourceVector(direction.azimuth, direction.zenith), -1)
  const hits = sensors().flatMap(({ id, position }) => {
    const offset = minus(position, through)
    const along = dot(offset, travel)
    const aside = Math.hypot(...minus(offset, times(travel, along)))
    return aside < 60
      ? [{ id, timeNs: 10_000 + along / LIGHT_M_PER_NS + aside / 0.22, charge: 60 / (aside + 10) }]
      : []
  })
  return exampleEvent({ prediction: direction, hits })
}

/** Light that spreads from one point. */
export function exampleCascade(centre: Vector): DrawnEvent {
  const hits = sensors().flatMap(({ id, position }) => {
    const away = Math.hypot(...minus(position, centre))
    return away < 130 ? [{ id, timeNs: 10_000 + away / 0.22, charge: 400 / (away + 10) }] : []
  })
  return exampleEvent({ hits })
}

interface ExampleHit {
  readonly id: number
  readonly timeNs: number
  readonly charge: number
  readonly isAuxiliary?: boolean
}

export function exampleEvent({
  key = '17~abc',
  prediction = { azimuth: 1, zenith: 1 },
  hits = [{ id: 0, timeNs: 10_000, charge: 1 }],
  ...others
}: {
  readonly key?: string
  readonly prediction?: DirectionRad & { readonly kappa?: number | null; readonly degenerate?: boolean }
  readonly hits?: readonly ExampleHit[]
} & Partial<Omit<DrawnEvent, 'prediction' | 'pulses' | 'key'>>): DrawnEvent {
  const sorted = hits.toSorted((a, b) => a.timeNs - b.timeNs)
  return {
    key,
    eventId: key.split('~')[0],
    batchId: 'batch',
    prediction: { kappa: null, degenerate: false, model: 'example', modelVersion: '1', ...prediction },
    lineFit: null,
    truth: null,
    errorRad: null,
    pulsesTotal: sorted.length,
    chargeTotal: sorted.reduce((sum, { charge }) => sum + charge, 0),
    emittedAtMs: 1_000,
    predictedAtMs: 1_100,
    ...others,
    pulses: {
      sensorIds: sorted.map(({ id }) => id),
      timesNs: sorted.map(({ timeNs }) => timeNs),
      charges: sorted.map(({ charge }) => charge),
      auxiliary: sorted.map(({ isAuxiliary }) => (isAuxiliary ? 1 : 0)),
    },
  }
}

function sensors(): { id: number; position: Vector }[] {
  return Array.from({ length: SENSOR_COUNT }, (_, id) => {
    const [x, y, z] = sensorPositions.subarray(3 * id, 3 * id + 3)
    return { id, position: [x, y, z] }
  })
}
