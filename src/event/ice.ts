import { ICE_TABLE } from './ice-table.ts'
import { depthOf } from './sensors.ts'

const depths = Float64Array.from(ICE_TABLE, ([depth]) => depth)
const scattering = Float64Array.from(ICE_TABLE, ([, length]) => length)
const absorption = Float64Array.from(ICE_TABLE, ([, , length]) => length)

/** Effective scattering length, m, at a height z in the detector's coordinates (m). Source: see ice-table.ts. */
export function scatteringLength(z: number): number {
  return scatteringLengthAtDepth(depthOf(z))
}

/** Absorption length, m, at a height z in the detector's coordinates (m). Source: see ice-table.ts. */
export function absorptionLength(z: number): number {
  return absorptionLengthAtDepth(depthOf(z))
}

/** Effective scattering length, m, at a depth below the surface (m); beyond the table, its nearest end. */
export function scatteringLengthAtDepth(depth: number): number {
  return interpolate(scattering, depth)
}

/** Absorption length, m, at a depth below the surface (m); beyond the table, its nearest end. */
export function absorptionLengthAtDepth(depth: number): number {
  return interpolate(absorption, depth)
}

function interpolate(lengths: Float64Array, depth: number): number {
  const last = depths.length - 1
  if (depth <= depths[0]) return lengths[0]
  if (depth >= depths[last]) return lengths[last]
  // Layers are 9.8 to 10.1 m thick and the mean is 10 m, so the guess is at most one layer off.
  let i = Math.min(last - 1, Math.floor((depth - depths[0]) / 10))
  while (depth < depths[i]) i--
  while (depth > depths[i + 1]) i++
  const share = (depth - depths[i]) / (depths[i + 1] - depths[i])
  return lengths[i] + share * (lengths[i + 1] - lengths[i])
}
