import { PerspectiveCamera, Vector3 } from 'three'
import { OrbitControls } from 'three/examples/jsm/controls/OrbitControls.js'
import type { Vector } from '../vector.ts'
import { eyeVector, HOME_VIEW, type ViewAngles, viewBetween, viewForTravel } from '../view.ts'

const FIELD_OF_VIEW = 32
/** All drawn objects fit into a sphere of this radius about the centre, m. */
const FIT_M = 745
/** Share of the width by which the centre is shifted. */
const WORDS_SHARE = 0.075
/** The point that the camera looks at, chosen so that the near lower corner stays in the picture. */
const MIDDLE = [0, 0, -25] as const
const NEAREST_M = 150
const FURTHEST_M = 8_000
const TURN_MS = 700

/** The camera. Pointer and keys turn it; until the user has done so, it turns by itself so that no event is seen end on. */
export class Eye {
  readonly camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 10, 20_000)
  readonly #controls: OrbitControls
  #isOwn = false
  #turn: { readonly from: ViewAngles; readonly to: ViewAngles; elapsedMs: number } | undefined

  constructor(canvas: HTMLCanvasElement, onChange: () => void) {
    this.camera.up.set(0, 0, 1)
    this.#controls = new OrbitControls(this.camera, canvas)
    this.#controls.minDistance = NEAREST_M
    this.#controls.maxDistance = FURTHEST_M
    this.#controls.addEventListener('start', () => {
      this.#isOwn = true
      this.#turn = undefined
    })
    this.reset()
    this.#controls.addEventListener('change', onChange)
  }

  /** Size of the picture. The centre of a wide picture is shifted to the right, since text is on the left. */
  setSize(width: number, height: number): void {
    const old = this.#fitDistance()
    this.camera.aspect = width / height
    const shift = this.camera.aspect > 1.4 ? -WORDS_SHARE * width : 0
    this.camera.setViewOffset(width, height, shift, 0, width, height)
    this.#zoomTo((this.#distance() * this.#fitDistance()) / old)
  }

  reset(): void {
    this.#isOwn = false
    this.#turn = undefined
    this.#controls.target.set(...MIDDLE)
    this.#place(HOME_VIEW, this.#fitDistance())
  }

  /** Called for a new event: turns the view to it unless the user has chosen a view. */
  face(travel: Vector, isMotionReduced: boolean): void {
    if (this.#isOwn) return
    const from = this.#angles()
    const to = viewForTravel(from, travel)
    if (to === from) return
    if (isMotionReduced) this.#place(to, this.#distance())
    else this.#turn = { from, to, elapsedMs: 0 }
  }

  /** Continues a turn; false if none is in progress. */
  advance(elapsedMs: number): boolean {
    const turn = this.#turn
    if (!turn) return false
    turn.elapsedMs += elapsedMs
    const share = Math.min(1, turn.elapsedMs / TURN_MS)
    this.#place(viewBetween(turn.from, turn.to, share), this.#distance())
    if (share === 1) this.#turn = undefined
    return true
  }

  /** Turns by radians to the right and up, for keys. */
  orbit(right: number, up: number): void {
    this.#isOwn = true
    this.#turn = undefined
    const { turn, height } = this.#angles()
    const limit = Math.PI / 2 - 0.02
    this.#place(
      { turn: turn + right, height: Math.min(limit, Math.max(-limit, height + up)) },
      this.#distance(),
    )
  }

  /** Multiplies the distance, for keys. */
  zoom(factor: number): void {
    this.#isOwn = true
    this.#zoomTo(this.#distance() * factor)
  }

  dispose(): void {
    this.#controls.dispose()
  }

  #zoomTo(distance: number): void {
    this.#place(this.#angles(), Math.min(FURTHEST_M, Math.max(NEAREST_M, distance)))
  }

  #fitDistance(): number {
    const half = (FIELD_OF_VIEW * Math.PI) / 360
    const narrower = this.camera.aspect < 1 ? Math.atan(Math.tan(half) * this.camera.aspect) : half
    return FIT_M / Math.sin(narrower)
  }

  #distance(): number {
    return this.camera.position.distanceTo(this.#controls.target)
  }

  #angles(): ViewAngles {
    const offset = new Vector3().subVectors(this.camera.position, this.#controls.target)
    return { turn: Math.atan2(offset.y, offset.x), height: Math.asin(offset.z / offset.length()) }
  }

  #place(angles: ViewAngles, distance: number): void {
    const { target } = this.#controls
    this.camera.position
      .set(...eyeVector(angles))
      .multiplyScalar(distance)
      .add(target)
    this.camera.lookAt(target)
    this.#controls.update()
  }
}
