import { type Camera, LinearSRGBColorSpace, type Scene, WebGLRenderer } from 'three'
import { PALETTE } from './palette.ts'

/**
 * Draws on two stacked canvases: the backdrop seldom, the moving parts often. The 5,160 sensors cost a software renderer
 * more than everything else, and change only with the view.
 */
export class Layers {
  readonly backdrop: Layer
  readonly front: Layer
  #isFresh = false

  constructor(backdrop: Layer, front: Layer) {
    this.backdrop = backdrop
    this.front = front
  }

  setSize(width: number, height: number, ratio: number): void {
    for (const { renderer } of [this.backdrop, this.front]) {
      renderer.setPixelRatio(ratio)
      renderer.setSize(width, height, false)
    }
    this.touch()
  }

  /** The view has changed: the backdrop is drawn again. */
  touch(): void {
    this.#isFresh = false
  }

  /** True if the view has changed since the last call. */
  render(camera: Camera): boolean {
    const isMoved = !this.#isFresh
    if (isMoved) this.backdrop.renderer.render(this.backdrop.scene, camera)
    this.#isFresh = true
    this.front.renderer.render(this.front.scene, camera)
    return isMoved
  }

  dispose(): void {
    this.backdrop.renderer.dispose()
    this.front.renderer.dispose()
  }
}

export interface Layer {
  readonly renderer: WebGLRenderer
  readonly scene: Scene
}

/** @throws Error if the browser has no WebGL */
export function openRenderer(canvas: HTMLCanvasElement, isOpaque: boolean): WebGLRenderer {
  // Shaders smooth the edges: multisampling would cost a software renderer half of its time.
  const context = canvas.getContext('webgl2', { alpha: !isOpaque, antialias: false })
  if (!context) throw new Error('no WebGL 2')
  const renderer = new WebGLRenderer({ canvas, context })
  renderer.outputColorSpace = LinearSRGBColorSpace
  renderer.setClearColor(PALETTE.page, isOpaque ? 1 : 0)
  return renderer
}
