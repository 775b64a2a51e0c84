import type { SkyPlace } from './healpix.ts'

/** One von Mises-Fisher distribution of a mixture. */
export interface VmfComponent extends SkyPlace {
  /** Above 0; the weights of a mixture are divided by their sum. */
  readonly weight: number
  /** Concentration, 0 (uniform over the sky) or more. */
  readonly kappa: number
}

type Vector = readonly [number, number, number]

/** A density on the sphere: a mixture of von Mises-Fisher distributions. */
export class Mixture {
  readonly components: readonly VmfComponent[]
  readonly #axes: readonly Vector[]
  /** Logarithms of weight and normalisation of each component. */
  readonly #logNorms: Float64Array

  /** @throws RangeError if there is no component, or a weight or concentration is out of range */
  constructor(components: readonly VmfComponent[]) {
    const sum = components.reduce((total, { weight }) => total + weight, 0)
    for (const { weight, kappa } of components) {
      if (!(weight > 0 && Number.isFinite(weight)))
        throw new RangeError(`a weight of ${weight}; weights are above 0`)
      if (!(kappa >= 0 && Number.isFinite(kappa)))
        throw new RangeError(`a kappa of ${kappa}; kappa is 0 or more`)
    }
    if (components.length === 0) throw new RangeError('a mixture needs at least one component')
    this.components = components.map((component) => ({ ...component, weight: component.weight / sum }))
    this.#axes = components.map(toVector)
    this.#logNorms = Float64Array.from(
      this.components,
      ({ weight, kappa }) => Math.log(weight) + logNorm(kappa),
    )
  }

  /** Probability per steradian. */
  density(place: SkyPlace): number {
    return this.densityAt(toVector(place))
  }

  /** As `density`, at a unit vector. */
  densityAt([x, y, z]: Vector): number {
    let sum = 0
    for (const [i, [mx, my, mz]] of this.#axes.entries()) {
      // -κ‖x - μ‖² / 2 keeps the digits that κ (cos θ - 1) loses.
      const apart = (x - mx) ** 2 + (y - my) ** 2 + (z - mz) ** 2
      sum += Math.exp(this.#logNorms[i] - (this.components[i].kappa * apart) / 2)
    }
    return sum
  }

  /** Unit vectors of the components' centres. */
  get axes(): readonly Vector[] {
    return this.#axes
  }
}

/** Below it a distribution is uniform over the sky to double precision. */
const KAPPA_MIN = 1e-12

function logNorm(kappa: number): number {
  if (kappa < KAPPA_MIN) return -Math.log(4 * Math.PI)
  return Math.log(kappa) - Math.log(2 * Math.PI) - Math.log(-Math.expm1(-2 * kappa))
}

export function toVector({ rightAscension, declination }: SkyPlace): Vector {
  const across = Math.cos(declination)
  return [across * Math.cos(rightAscension), across * Math.sin(rightAscension), Math.sin(declination)]
}
