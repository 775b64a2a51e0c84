import {
  Color,
  Group,
  LineSegments,
  type Material,
  Mesh,
  type Object3D,
  Points,
  Scene as ThreeScene,
  WebGLRenderer,
} from 'three'
import { depthTicks, outline } from '../detector.ts'
import type { Scene } from '../scene.ts'
import { particleAt } from '../scene.ts'
import { Eye } from './camera.ts'
import { detectorGroup } from './detector.ts'
import { type Label, Labels } from './labels.ts'
import { arrow, cone } from './lines.ts'
import { marksMaterial, marksPoints } from './marks.ts'
import { PALETTE } from './palette.ts'
import { particlePoint } from './particle.ts'

const CORNERS = outline()
const DEPTH_LABELS: readonly Label[] = depthTicks().map(({ label, z }) => ({
  text: label,
  positions: CORNERS.map(([x, y]) => [x, y, z] as const),
  kind: 'depth',
  isLeftwards: true,
}))

/** Draws scenes. Draws only when told to: whoever changes something asks for `render`. */
export class Drawing {
  readonly eye: Eye
  readonly #renderer: WebGLRenderer
  readonly #three = new ThreeScene()
  readonly #event = new Group()
  readonly #labels: Labels
  readonly #uniforms = { share: { value: 0 }, pixelScale: { value: 1 }, flash: { value: 1 } }
  readonly #material = marksMaterial(this.#uniforms)
  readonly #particle = particlePoint(this.#uniforms.pixelScale)
  #scene: Scene | undefined
  #size = { width: 1, height: 1 }

  constructor(canvas: HTMLCanvasElement, labels: HTMLElement, onView: () => void) {
    this.#renderer = new WebGLRenderer({ canvas, antialias: true, powerPreference: 'low-power' })
    this.#renderer.setClearColor(new Color(PALETTE.page))
    this.#labels = new Labels(labels)
    this.eye = new Eye(canvas, onView)
    this.#three.add(detectorGroup(this.#uniforms.pixelScale), this.#event, this.#particle)
    this.#particle.visible = false
    this.#labels.set(DEPTH_LABELS)
  }

  /** Of the picture in CSS pixels, and how many pixels are drawn for each. */
  setSize(width: number, height: number, ratio: number): void {
    this.#size = { width, height }
    this.#renderer.setPixelRatio(ratio)
    this.#renderer.setSize(width, height, false)
    this.eye.setSize(width, height)
    const { camera } = this.eye
    const half = Math.tan((camera.fov * Math.PI) / 360)
    this.#uniforms.pixelScale.value = (height * ratio) / 2 / half
  }

  setScene(scene: Scene | undefined, isMotionReduced: boolean): void {
    this.#scene = scene
    disposeAll(this.#event, this.#material)
    this.#event.clear()
    this.#uniforms.flash.value = isMotionReduced ? 0 : 1
    this.#particle.visible = scene !== undefined
    const labels: Label[] = []
    if (scene) {
      this.#event.add(marksPoints(scene.marks, this.#material))
      for (const each of scene.cones) this.#event.add(cone(each))
      for (const line of scene.lines) {
        this.#event.add(arrow(line))
        labels.push({ text: line.label, positions: [line.head], kind: line.role })
      }
      this.eye.face(scene.flight.travel, isMotionReduced)
    }
    this.#labels.set([...labels, ...DEPTH_LABELS])
  }

  /** How far into the event, 0 to 1. */
  setShare(share: number): void {
    // At the end everything has settled.
    this.#uniforms.share.value = share === 1 ? 2 : share
    if (!this.#scene) return
    const { fromNs, toNs } = this.#scene.window
    this.#particle.position.set(...particleAt(this.#scene, fromNs + share * (toNs - fromNs)))
  }

  render(): void {
    this.#renderer.render(this.#three, this.eye.camera)
    this.#labels.place(this.eye.camera, this.#size.width, this.#size.height)
  }

  dispose(): void {
    disposeAll(this.#three)
    this.eye.dispose()
    this.#renderer.dispose()
  }
}

/** Frees what the graphics card holds of everything below, but for `kept`, which is used again. */
function disposeAll(root: Object3D, kept?: Material): void {
  root.traverse((object) => {
    if (!(object instanceof Mesh || object instanceof Points || object instanceof LineSegments)) return
    object.geometry.dispose()
    for (const material of [object.material].flat()) if (material !== kept) material.dispose()
  })
}
