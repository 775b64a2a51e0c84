import { acceptance, nominalAcceptance } from './light.ts'
import type { Random } from './random.ts'

/** How an event's ice and sensors differ from the tables. */
export interface Ice {
  /** Factors on the inverse effective scattering and absorption lengths. */
  readonly scattering: number
  readonly absorption: number
  /** Factor on the light that sensors see. */
  readonly efficiency: number
  /** Angular acceptance, in the bins of `angleBin`. */
  readonly acceptance: Float64Array
  /** Light along the axis is scattered less by this share, light across it more. */
  readonly anisotropy: number
  /** Layers rise along the tilt's direction by this many m in one. */
  readonly tilt: number
}

export const TABULATED_ICE: Ice = {
  scattering: 1,
  absorption: 1,
  efficiency: 1,
  acceptance,
  anisotropy: 0,
  tilt: 0,
}

/** Horizontal axis of the anisotropy, 130 degrees from +x. Source: ice-models (icetray). */
export const ANISOTROPY_X: number = Math.cos((130 / 180) * Math.PI)
export const ANISOTROPY_Y: number = Math.sin((130 / 180) * Math.PI)
/** Direction in which layers rise, 225 degrees from +x: ours, about that of the published tilt. */
export const TILT_X: number = Math.cos((225 / 180) * Math.PI)
export const TILT_Y: number = Math.sin((225 / 180) * Math.PI)

/**
 * Ranges, drawn uniformly: ours. A tenth of scattering, absorption and efficiency is what IceCube varies in its analyses; the
 * measured anisotropy of 0.07 lies in the middle of its range; the hole's ice goes from none to the tabulated one.
 */
const SPREAD = 0.1
const ANISOTROPY_MAX = 0.14
const TILT_MAX = 0.03

/** Draws the ice and sensors of an event. Its arrays are used again for the next. */
export class Systematics {
  readonly #acceptance = new Float64Array(acceptance.length)

  draw(random: Random): Ice {
    const around = () => 1 + SPREAD * (2 * random.uniform() - 1)
    const [scattering, absorption, efficiency] = [around(), around(), around()]
    const hole = random.uniform()
    for (let bin = 0; bin < acceptance.length; bin++)
      this.#acceptance[bin] = hole * acceptance[bin] + (1 - hole) * nominalAcceptance[bin]
    return {
      scattering,
      absorption,
      efficiency,
      acceptance: this.#acceptance,
      anisotropy: ANISOTROPY_MAX * random.uniform(),
      tilt: TILT_MAX * (2 * random.uniform() - 1),
    }
  }
}
