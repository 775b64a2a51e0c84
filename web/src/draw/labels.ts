import { type PerspectiveCamera, Vector3 } from 'three'
import { type Box, layOut, type Word } from '../label-layout.ts'
import type { Vector } from '../vector.ts'

export interface Label {
  readonly text: string
  /** Position of the label; of several positions, the rightmost in the picture is used. */
  readonly positions: readonly Vector[]
  /** CSS class, see style/. */
  readonly kind: string
  /** The label is on the opposite side of its position from this point. */
  readonly awayFrom: Vector
}

interface Placed {
  readonly label: Label
  readonly element: HTMLElement
}

interface PictureSize {
  readonly width: number
  readonly height: number
}

/** Labels in the picture, as HTML elements above the canvas: sharp, and in the font of the page. */
export class Labels {
  readonly #layer: HTMLElement
  readonly #obstacles: () => readonly Element[]
  readonly #placed: Placed[] = []

  /** `obstacles`: other text above the same picture. */
  constructor(layer: HTMLElement, obstacles: () => readonly Element[]) {
    this.#layer = layer
    this.#obstacles = obstacles
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

  place(camera: PerspectiveCamera, size: PictureSize): void {
    const words = this.#placed.map(({ label, element }): Word => {
      const points = label.positions.map((position) => pictureOf(position, camera, size))
      const { x, y } = points.reduce((best, point) => (point.x > best.x ? point : best))
      const isLeftwards = x < pictureOf(label.awayFrom, camera, size).x
      return { x, y, width: element.offsetWidth, height: element.offsetHeight, isLeftwards }
    })
    for (const [i, { left, top }] of layOut(words, { ...size, taken: this.#taken() }).entries())
      this.#placed[i].element.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`
  }

  #taken(): Box[] {
    const origin = this.#layer.getBoundingClientRect()
    return this.#obstacles().map((element) => {
      const { left, top, width, height } = element.getBoundingClientRect()
      return { left: left - origin.left, top: top - origin.top, width, height }
    })
  }
}

function pictureOf(
  position: Vector,
  camera: PerspectiveCamera,
  { width, height }: PictureSize,
): { x: number; y: number } {
  const point = new Vector3(...position).project(camera)
  return { x: ((point.x + 1) / 2) * width, y: ((1 - point.y) / 2) * height }
}
