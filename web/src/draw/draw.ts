import {
  Group,
  LinearSRGBColorSpace,
  Mesh,
  type Object3D,
  Points,
  Scene as ThreeScene,
  WebGLRenderer,
} from 'three'
import { depthTicks, outline } from '../detector.ts'
import { particleAt, type Scene } from '../scene.ts'
import { Eye } from './camera.ts'
import { detectorStrokes, sensorPoints } from './detector.ts'
import { type Label, Labels } from './labels.ts'
import { Layers } from './layers.ts'
import { arrowFaces, arrowStrokes, coneFaces, coneStrokes, facesMaterial, facesMesh } from './lines.ts'
import { marksMaterial, marksPoints } from './marks.ts'
import { PALETTE } from './palette.ts'
import { particlePoint } from './particle.ts'
import { strokeMaterials, strokeMeshes, strokeUniforms } from './strokes.ts'

const CORNERS = outline()
const DEPTH_LABELS: readonly Label[] = depthTicks().map(({ label, z }) => ({
  text: label,
  positions: CORNERS.map(([x, y]) => [x, y, z] as const),
  kind: 'depth',
  awayFrom: [0, 0, z],
}))

/** Draws scenes. Draws only when told to: whoever changes something asks for `render`. */
export class Drawing {
  readonly eye: Eye
  readonly #renderer: WebGLRenderer
  readonly #layers: Layers
  readonly #backdrop = new ThreeScene()
  readonly #front = new ThreeScene()
  readonly #event = new Group()
  readonly #labels: Labels
  readonly #uniforms = { share: { value: 0 }, pixelScale: { value: 1 }, flash: { value: 1 } }
  readonly #lineUniforms = strokeUniforms()
  readonly #marks = marksMaterial(this.#uniforms)
  readonly #faces = facesMaterial()
  readonly #strokes = strokeMaterials(this.#lineUniforms)
  readonly #particle = particlePoint(this.#uniforms.pixelScale)
  #scene: Scene | undefined
  #size = { width: 1, height: 1, ratio: 1 }

  /** @throws Error where the browser has no WebGL */
  constructor(canvas: HTMLCanvasElement, labels: HTMLElement, onView: () => void) {
    this.#renderer = new WebGLRenderer({
      canvas,
      antialias: false,
      depth: false,
      powerPreference: 'low-power',
    })
    this.#renderer.outputColorSpace = LinearSRGBColorSpace
    this.#renderer.setClearColor(PALETTE.page)
    this.#labels = new Labels(labels)
    this.#layers = new Layers(this.#renderer, this.#backdrop, this.#front)
    this.eye = new Eye(canvas, () => {
      this.#layers.touch()
      onView()
    })
    const cables = strokeMeshes(detectorStrokes(), [this.#strokes[0]])
    this.#backdrop.add(...cables, sensorPoints(this.#uniforms.pixelScale))
    this.#front.add(this.#event, this.#particle)
    this.#particle.visible = false
    this.#labels.set(DEPTH_LABELS)
  }

  /** Of the picture in CSS pixels, and pixels of the screen for each. */
  setSize(width: number, height: number, ratio: number): void {
    this.#size = { width, height, ratio }
    this.eye.setSize(width, height)
  }

  setScene(scene: Scene | undefined, isMotionReduced: boolean): void {
    this.#scene = scene
    disposeGeometries(this.#event)
    this.#event.clear()
    this.#uniforms.flash.value = isMotionReduced ? 0 : 1
    this.#particle.visible = scene !== undefined
    if (scene) this.#addEvent(scene)
    const labels = scene?.lines.map(({ label, head, tail, role }) => ({
      text: label,
      positions: [head],
      kind: role,
      awayFrom: tail,
    }))
    this.#labels.set([...(labels ?? []), ...DEPTH_LABELS])
    if (scene) this.eye.face(scene.flight.travel, isMotionReduced)
  }

  /** How far into the event, 0 to 1. */
  setShare(share: number): void {
    // At the end everything has settled.
    this.#uniforms.share.value = share === 1 ? 2 : share
    if (!this.#scene) return
    const { fromNs, toNs } = this.#scene.window
    this.#particle.position.set(...particleAt(this.#scene, fromNs + share * (toNs - fromNs)))
  }

  /** With a share of the screen's pixels along each axis, all of them unless told. */
  render(share = 1): void {
    const { camera } = this.eye
    const { width, height, ratio } = this.#size
    const canvas = this.#renderer.domElement
    const pixels = { width: Math.ceil(width * ratio * share), height: Math.ceil(height * ratio * share) }
    if (canvas.width !== pixels.width || canvas.height !== pixels.height)
      this.#renderer.setSize(pixels.width, pixels.height, false)
    this.#uniforms.pixelScale.value = pixels.height / 2 / Math.tan((camera.fov * Math.PI) / 360)
    this.#lineUniforms.resolution.value.set(pixels.width, pixels.height)
    this.#lineUniforms.pixelRatio.value = ratio * share
    this.#layers.render(camera, pixels)
    this.#labels.place(camera, width, height)
  }

  dispose(): void {
    for (const scene of [this.#backdrop, this.#front]) disposeGeometries(scene)
    for (const material of [this.#marks, this.#faces, ...this.#strokes]) material.dispose()
    this.#layers.dispose()
    this.eye.dispose()
    this.#renderer.dispose()
  }

  #addEvent({ marks, lines, cones }: Scene): void {
    const faces = [...cones.flatMap(coneFaces), ...lines.flatMap(arrowFaces)]
    const strokes = [...cones.flatMap(coneStrokes), ...lines.flatMap(arrowStrokes)]
    this.#event.add(marksPoints(marks, this.#marks))
    this.#event.add(facesMesh(faces, this.#faces), ...strokeMeshes(strokes, this.#strokes))
  }
}

/** Frees what the graphics card holds of everything below; materials are used again. */
function disposeGeometries(root: Object3D): void {
  root.traverse((object) => {
    if (object instanceof Mesh || object instanceof Points) object.geometry.dispose()
  })
}
