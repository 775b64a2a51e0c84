/** Upper bounds of histograms that several roles share. */

/** Angles in radians, from 0.6 degrees to 180 degrees. The mean angle between two random directions is 1.571. */
export const ANGLE_BUCKETS_RAD = [0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.25, 1.571, 2, 2.5, 3.15]

/** Seconds of one step of the stream. Half a second is the promise of a direction, and deadlines of minutes can be set. */
export const STEP_BUCKETS_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
]
