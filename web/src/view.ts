import type { Vector } from './vector.ts'

/** Direction of view: angles about the detector's vertical axis and above the horizon, radians. */
export interface ViewAngles {
  readonly turn: number
  readonly height: number
}

export const HOME_VIEW: ViewAngles = { turn: (-112 * Math.PI) / 180, height: 0.26 }

/** A track closer than this to the line of sight is seen end on: track and cascade would look alike. */
const END_ON_RAD = (38 * Math.PI) / 180
const WANTED_RAD = (58 * Math.PI) / 180

/** Unit vector from the detector to the camera. */
export function eyeVector({ turn, height }: ViewAngles): Vector {
  return [Math.cos(turn) * Math.cos(height), Math.sin(turn) * Math.cos(height), Math.sin(height)]
}

/**
 * The same view, or one turned as little as needed so that a track along `travel` is not seen end on. A near-vertical
 * track is seen from the side in every view.
 */
export function viewForTravel(view: ViewAngles, travel: Vector): ViewAngles {
  const level = Math.hypot(travel[0], travel[1])
  const eye = eyeVector(view)
  const cosine = eye[0] * travel[0] + eye[1] * travel[1] + eye[2] * travel[2]
  if (Math.abs(cosine) < Math.cos(END_ON_RAD) || level < 0.5) return view
  // Both ends of the axis look the same: take the nearer one.
  const sign = cosine > 0 ? 1 : -1
  const axisTurn = Math.atan2(sign * travel[1], sign * travel[0])
  const off = wrap(view.turn - axisTurn)
  return { ...view, turn: axisTurn + (off < 0 ? -WANTED_RAD : WANTED_RAD) }
}

/** The view between two, at `share` of the shorter way. */
export function viewBetween(from: ViewAngles, to: ViewAngles, share: number): ViewAngles {
  const eased = share * share * (3 - 2 * share)
  return {
    turn: from.turn + wrap(to.turn - from.turn) * eased,
    height: from.height + (to.height - from.height) * eased,
  }
}

/** An angle from -π to π. */
function wrap(angle: number): number {
  const tau = 2 * Math.PI
  return angle - tau * Math.round(angle / tau)
}
