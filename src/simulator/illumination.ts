import { SENSORS_PER_STRING, STRING_COUNT } from '../event/sensors.ts'
import { firstSensorBelow, sensorEfficiency, sensorLayer, sensorZ, stringX, stringY } from './detector.ts'
import {
  angleBin,
  CASCADE_METRES_PER_GEV,
  cascadeFlux,
  PHOTOELECTRONS_PER_FLUX,
  propagationLength,
  trackFlux,
} from './light.ts'
import { MuonTrack, STEP_M } from './muon.ts'
import {
  CHERENKOV_COS,
  CHERENKOV_COT,
  CHERENKOV_SIN,
  ICE_LIGHT_SPEED,
  LIGHT_SPEED,
  layerOf,
  pathAbsorption,
  pathScattering,
  TRACK_DELAY_PER_M,
} from './optics.ts'
import { delayRate, delayShape, effectiveDistance } from './pandel.ts'
import type { Arrival, LightSink } from './photocathodes.ts'
import { VISIBLE_SHARE } from './pmt.ts'
import {
  ShowerPoints,
  showerBin,
  showerBrightness,
  showerDelayRate,
  showerDelayShape,
  showerOnset,
} from './shower.ts'

import { ANISOTROPY_X, ANISOTROPY_Y, type Ice, TABULATED_ICE, TILT_X, TILT_Y } from './systematics.ts'

/** A straight line through (x, y, z), m, at `timeNs`, along the unit vector (px, py, pz), at the speed of light. */
export interface Line {
  timeNs: number
  x: number
  y: number
  z: number
  px: number
  py: number
  pz: number
}

/** Visible photo-electrons per (photon per m² per photon per metre). */
const VISIBLE_PER_FLUX = PHOTOELECTRONS_PER_FLUX * VISIBLE_SHARE
/** Fewer photo-electrons than this at a sensor are left out. */
const NEGLIGIBLE = 4e-3
/** (d / Lp)² = 3 × 1.07² d² s a; see `propagationLength`. */
const SQUARED_LENGTH_SCALE = propagationLength(1, 1) ** -2
/** Light that far has spread over at least so much, m² from a point and m from a line: with `NEGLIGIBLE`, where to stop. */
const SPREAD_M2 = 2000
const SPREAD_M = 60
/** Keeps divisions by a distance finite. */
const TINY = 1e-9

/** Light of muon tracks and showers at the sensors, string by string so that far ones cost nothing. */
export class Illumination {
  /** Ice and sensors of the event. */
  ice: Ice = TABULATED_ICE
  readonly #sink: LightSink
  readonly #arrival: Arrival = { directNs: 0, shape: 0, rate: 0 }
  #line: Line = { timeNs: 0, x: 0, y: 0, z: 0, px: 0, py: 0, pz: 0 }
  #track: MuonTrack = new MuonTrack()
  readonly #points = new ShowerPoints()
  #sourceLayer = 0
  /** Layers at the string lie so much higher than in the table, m. */
  #rise = 0
  /** Anisotropy times the square of the distance: above 0 along its axis, below across. */
  #twist = 0
  #lightMetres = 0
  /** Propagation lengths after which light is negligible even where the closed form's other factors favour it. */
  #lengthsMax = 0

  /** @param sink where the light goes: photocathodes */
  constructor(sink: LightSink) {
    this.#sink = sink
  }

  /** The light along a muon's track, without its `losses`. */
  addTrack(line: Line, track: MuonTrack): void {
    this.#line = line
    this.#track = track
    this.#lengthsMax = Math.max(0, Math.log((VISIBLE_PER_FLUX * track.brightest) / (NEGLIGIBLE * SPREAD_M)))
    const { px, py, pz } = line
    const sin2 = px * px + py * py
    // A bare muon's light falls to some hundredths of a photo-electron at 160 m, and by e in 60 m more.
    const reach = 160 + 60 * Math.log(track.brightest)
    // Sensors see light of the stretch that is lit from a little before it to as far beyond as the cone leads.
    const litFrom = track.start - 80
    const litTo = track.start + track.steps * STEP_M + reach * CHERENKOV_COT + 80
    for (let string = 0; string < STRING_COUNT; string++) {
      const hx = stringX[string] - line.x
      const hy = stringY[string] - line.y
      // Where the track, taken as an endless line, comes closest to the string.
      const nearestL = sin2 > TINY ? (hx * px + hy * py) / sin2 : 0
      const ox = hx - nearestL * px
      const oy = hy - nearestL * py
      const across2 = ox * ox + oy * oy
      if (across2 > reach * reach) continue
      const nearestZ = line.z + nearestL * pz
      const span = Math.sqrt((reach * reach - across2) / (sin2 + TINY))
      const spanL = span * Math.abs(pz)
      if (nearestL + spanL < litFrom || nearestL - spanL > litTo) continue
      this.#lookAlong(string, ox, oy)
      const end = (string + 1) * SENSORS_PER_STRING
      for (let sensor = firstSensorBelow(string, nearestZ + span); sensor < end; sensor++) {
        const dz = sensorZ[sensor] - nearestZ
        if (dz > span) continue
        if (dz < -span) break
        const d = Math.sqrt(across2 + dz * dz * sin2)
        this.#lightFromTrack(sensor, d, nearestL + dz * pz, (dz * sin2) / (d + TINY))
      }
    }
  }

  /** A sensor `d` m off the track, closest to it at `l`; `outward`: vertical part of the unit vector from track to sensor. */
  #lightFromTrack(sensor: number, d: number, l: number, outward: number): void {
    const emitted = l - d * CHERENKOV_COT
    // Scattering spreads the light of a stretch of track over a sensor, the wider the farther: a simplification of ours.
    const smear = 8 + 0.4 * d
    const light = this.#track.meanLight(emitted - smear, emitted + smear)
    if (light <= 0) return
    const { ice } = this
    const layer = sensorLayer[sensor] - this.#rise
    const sourceLayer = layerOf(this.#line.z + emitted * this.#line.pz - this.#rise)
    const s = pathScattering(layer, sourceLayer) * ice.scattering * (1 - this.#twist / (d * d + 1))
    const a = pathAbsorption(layer, sourceLayer) * ice.absorption
    if (isBeyond(d, s, a, this.#lengthsMax)) return
    const flux = VISIBLE_PER_FLUX * light * trackFlux(d, s, a) * sensorEfficiency[sensor] * ice.efficiency
    if (flux < NEGLIGIBLE) return
    const upward = CHERENKOV_COS * this.#line.pz + CHERENKOV_SIN * outward
    const seen = 1 + directShare(d, s) * (ice.acceptance[angleBin(upward)] - 1)
    const count = this.#sink.drawCount(flux * seen)
    if (count === 0) return
    const arrival = this.#arrival
    arrival.directNs = this.#line.timeNs + (l + TRACK_DELAY_PER_M * d) / LIGHT_SPEED
    arrival.shape = delayShape(effectiveDistance(d, upward), s)
    arrival.rate = delayRate(a)
    this.#sink.add(sensor, count, arrival)
  }

  /** Sets what the ice is like on the way to a string that lies (x, y) m from the light, seen from above. */
  #lookAlong(string: number, x: number, y: number): void {
    const { tilt, anisotropy } = this.ice
    const along = x * ANISOTROPY_X + y * ANISOTROPY_Y
    const across = y * ANISOTROPY_X - x * ANISOTROPY_Y
    this.#rise = Math.round(tilt * (TILT_X * stringX[string] + TILT_Y * stringY[string]))
    this.#twist = anisotropy * (along * along - across * across)
  }

  /** An electromagnetic shower that begins `l` m along `line` and goes on in its direction. */
  addShower(line: Line, l: number, energyGev: number): void {
    this.#points.place(energyGev, false)
    this.#addPoints(line, l, energyGev * CASCADE_METRES_PER_GEV)
  }

  /** A hadronic shower; `share`: its light relative to an electromagnetic one of its energy. */
  addHadrons(line: Line, l: number, { energyGev, share }: { energyGev: number; share: number }): void {
    this.#points.place(energyGev, true)
    this.#addPoints(line, l, energyGev * share * CASCADE_METRES_PER_GEV)
  }

  /** `lightMetres`: as much light in all as that many metres of a bare muon. */
  #addPoints(line: Line, l: number, lightMetres: number): void {
    const { count, depths } = this.#points
    this.#line = line
    this.#lightMetres = lightMetres / count
    this.#lengthsMax = Math.max(
      0,
      Math.log((VISIBLE_PER_FLUX * this.#lightMetres) / (NEGLIGIBLE * SPREAD_M2)),
    )
    for (let i = 0; i < count; i++) this.#addPoint(l + depths[i])
  }

  /** A point of light `l` m along the line. */
  #addPoint(l: number): void {
    const line = this.#line
    const z = line.z + l * line.pz
    const rise = Math.round(
      this.ice.tilt * (TILT_X * (line.x + l * line.px) + TILT_Y * (line.y + l * line.py)),
    )
    this.#sourceLayer = layerOf(z - rise)
    // In the clearest ice light falls by e in 84 m; reach ends where some thousandths of a photo-electron are left.
    const reach = 30 + 84 * Math.log(1 + this.#lightMetres / 20)
    for (let string = 0; string < STRING_COUNT; string++) {
      const hx = stringX[string] - line.x - l * line.px
      const hy = stringY[string] - line.y - l * line.py
      const across2 = hx * hx + hy * hy
      if (across2 > reach * reach) continue
      const span = Math.sqrt(reach * reach - across2)
      const along = hx * line.px + hy * line.py
      this.#lookAlong(string, hx, hy)
      const end = (string + 1) * SENSORS_PER_STRING
      for (let sensor = firstSensorBelow(string, z + span); sensor < end; sensor++) {
        const dz = sensorZ[sensor] - z
        if (dz > span) continue
        if (dz < -span) break
        const d = Math.sqrt(across2 + dz * dz)
        const count = this.#lightFromPoint(sensor, d, dz / (d + TINY), (along + dz * line.pz) / (d + TINY))
        if (count === 0) continue
        this.#arrival.directNs += line.timeNs + l / LIGHT_SPEED + d / ICE_LIGHT_SPEED
        this.#sink.add(sensor, count, this.#arrival)
      }
    }
  }

  /**
   * A sensor `d` m off; `upward` and `forward`: parts of the unit vector from the point to the sensor along z and the
   * shower's axis. Leaves in `directNs` only what the light is later than on the direct way.
   */
  #lightFromPoint(sensor: number, d: number, upward: number, forward: number): number {
    const { ice } = this
    const layer = sensorLayer[sensor] - this.#rise
    const turned = 1 - this.#twist / (d * d + 1)
    const s = pathScattering(this.#sourceLayer, layer) * ice.scattering * turned
    const a = pathAbsorption(this.#sourceLayer, layer) * ice.absorption
    if (isBeyond(d, s, a, this.#lengthsMax)) return 0
    const flux =
      VISIBLE_PER_FLUX * this.#lightMetres * cascadeFlux(d, s, a) * sensorEfficiency[sensor] * ice.efficiency
    if (flux < NEGLIGIBLE) return 0
    const share = directShare(d, s)
    const bin = showerBin(share, forward)
    const seen = showerBrightness[bin] * (1 + share * (ice.acceptance[angleBin(upward)] - 1))
    const count = this.#sink.drawCount(flux * seen)
    if (count === 0) return 0
    const arrival = this.#arrival
    arrival.directNs = showerOnset[bin] / (s * ICE_LIGHT_SPEED)
    arrival.shape = showerDelayShape[bin]
    arrival.rate = ICE_LIGHT_SPEED * (a + s * showerDelayRate[bin])
    return count
  }
}

/** True farther than `lengths` propagation lengths; this needs no root. */
function isBeyond(d: number, s: number, a: number, lengths: number): boolean {
  return d * d * s * a * SQUARED_LENGTH_SCALE > lengths * lengths
}

/** Share of the light that still remembers the direction it set out in, the rest coming from all sides alike: ours. */
function directShare(d: number, s: number): number {
  return 1 / (1 + d * s)
}
