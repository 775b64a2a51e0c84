import { type PerspectiveCamera, Vector3 } from 'three'
import type { Vector } from '../vector.ts'

export interface Label {
  readonly text: string
  /** Where it belongs; of several places the one furthest to the right in the picture. */
  readonly positions: readonly Vector[]
  /** Class of style/. */
  readonly kind: string
  /** The word lies on the other side of its place than this. */
  readonly awayFrom: Vector
}

interface Placed {
  readonly label: Label
  readonly element: HTMLElement
}

const EDGE_PX = 10
/** Room for a word, px. */
const WIDTH_PX = 150

/** Words at places of the picture, as elements above the canvas: sharp, and in the page's own type. */
export class Labels {
  readonly #layer: HTMLElement
  readonly #placed: Placed[] = []

  constructor(layer: HTMLElement) {
    this.#layer = layer
  }

  set(labels: readonly Label[]): void {
    this.#placed.length = 0
    this.#layer.replaceChildren()
    for (const label of labels) {
      const element = document.createElement('span')
      element.className = `label ${label.kind}`
      element.textContent = label.text
      this.#layer.append(element)
      this.#placed.push({ label, element })
    }
  }

  /** Labels that would lie on one another move apart, towards the middle of the picture. */
  place(camera: PerspectiveCamera, width: number, height: number): void {
    const apartPx = Math.max(16, height / 28)
    const taken: { x: number; y: number }[] = []
    for (const { label, element } of this.#placed) {
      const points = label.positions.map((position) => pictureOf(position, camera, { width, height }))
      const { x, y: wanted } = points.reduce((best, point) => (point.x > best.x ? point : best))
      let y = Math.min(height - EDGE_PX, Math.max(EDGE_PX, wanted))
      const step = wanted > height / 2 ? -apartPx : apartPx
      while (taken.some((other) => Math.abs(other.x - x) < WIDTH_PX && Math.abs(other.y - y) < apartPx))
        y += step
      taken.push({ x, y })
      const isLeftwards =
        x < pictureOf(label.awayFrom, camera, { width, height }).x ? x > WIDTH_PX : x > width - WIDTH_PX
      element.classList.toggle('leftwards', isLeftwards)
      element.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`
    }
  }
}

function pictureOf(
  position: Vector,
  camera: PerspectiveCamera,
  { width, height }: { readonly width: number; readonly height: number },
): { x: number; y: number } {
  const point = new Vector3(...position).project(camera)
  return { x: ((point.x + 1) / 2) * width, y: ((1 - point.y) / 2) * height }
}
