import { Group, Mesh, type Object3D, Points, Scene as ThreeScene } from 'three'
import { SENSOR_COUNT } from '../../../src/event/sensors.ts'
import { depthTicks, outline } from '../detector.ts'
import { isInFlight, particleAt, type Scene } from '../scene.ts'
import { Eye } from './camera.ts'
import { detectorStrokes, sensorPoints } from './detector.ts'
import { type Label, Labels } from './labels.ts'
import { Layers, openRenderer } from './layers.ts'
import { arrowFaces, arrowStrokes, coneFaces, coneStrokes, facesMaterial, facesMesh } from './lines.ts'
import { marksMaterial, marksPoints } from './marks.ts'
import { particlePoint } from './particle.ts'
import { strokeMaterials, strokeMeshes, strokeUniforms } from './strokes.ts'

const CORNERS = outline()
const DEPTH_LABELS: readonly Label[] = depthTicks().map(({ label, z }) => ({
  text: label,
  positions: CORNERS.map(([x, y]) => [x, y, z] as const),
  kind: 'depth',
  awayFrom: [0, 0, z],
}))

export interface DrawingElements {
  readonly canvas: HTMLCanvasElement
  /** The lower of the two canvases. */
  readonly backdrop: HTMLCanvasElement
  /** The element for labels, above both canvases. */
  readonly labels: HTMLElement
  /** Other text above the picture, which labels avoid. */
  readonly obstacles: () => readonly Element[]
}

/** Draws scenes. Draws only on request: the caller calls `render` after a change. */
export class Drawing {
  readonly eye: Eye
  readonly #layers: Layers
  readonly #backdrop = new ThreeScene()
  readonly #front = new ThreeScene()
  readonly #sensors: Points
  readonly #event = new Group()
  readonly #labels: Labels
  readonly #uniforms = { share: { value: 0 }, pixelScale: { value: 1 }, flash: { value: 1 } }
  readonly #lineUniforms = strokeUniforms()
  readonly #marks = marksMaterial(this.#uniforms)
  readonly #faces = facesMaterial()
  readonly #strokes = strokeMaterials(this.#lineUniforms)
  readonly #particle = particlePoint(this.#uniforms.pixelScale)
  #scene: Scene | undefined
  #size = { width: 1, height: 1 }
  #sensorShare = 1
  #areLabelsNew = true

  /** @throws Error if the browser has no WebGL */
  constructor({ canvas, backdrop, labels, obstacles }: DrawingElements, onView: () => void) {
    this.#layers = new Layers(
      { renderer: openRenderer(backdrop, true), scene: this.#backdrop },
      { renderer: openRenderer(canvas, false), scene: this.#front },
    )
    this.#labels = new Labels(labels, obstacles)
    this.eye = new Eye(canvas, () => {
      this.#layers.touch()
      onView()
    })
    const cables = strokeMeshes(detectorStrokes(), [this.#strokes[0]])
    this.#sensors = sensorPoints(this.#uniforms.pixelScale)
    this.#backdrop.add(...cables, this.#sensors)
    this.#front.add(this.#event, this.#particle)
    this.#particle.visible = false
    this.#labels.set(DEPTH_LABELS)
  }

  /** Size of the picture in CSS pixels, and device pixels per CSS pixel. */
  setSize(width: number, height: number, ratio: number): void {
    this.#size = { width, height }
    this.#layers.setSize(width, height, ratio)
    this.eye.setSize(width, height)
    const { camera } = this.eye
    this.#uniforms.pixelScale.value = (height * ratio) / 2 / Math.tan((camera.fov * Math.PI) / 360)
    this.#lineUniforms.resolution.value.set(width * ratio, height * ratio)
    this.#lineUniforms.pixelRatio.value = ratio
  }

  setScene(scene: Scene | undefined, isMotionReduced: boolean): void {
    this.#scene = scene
    disposeGeometries(this.#event)
    this.#event.clear()
    this.#uniforms.flash.value = isMotionReduced ? 0 : 1
    if (!scene) this.#particle.visible = false
    if (scene) this.#addEvent(scene)
    const labels = scene?.lines.map(({ label, head, tail, role }) => ({
      text: label,
      positions: [head],
      kind: role,
      awayFrom: tail,
    }))
    this.#labels.set([...(labels ?? []), ...DEPTH_LABELS])
    this.#areLabelsNew = true
    if (scene) this.eye.face(scene.flight.travel, isMotionReduced)
  }

  /** Sets the time within the event, 0 to 1. */
  setShare(share: number): void {
    // At the end no mark flashes.
    this.#uniforms.share.value = share === 1 ? 2 : share
    if (!this.#scene) return
    const { fromNs, toNs } = this.#scene.window
    const timeNs = fromNs + share * (toNs - fromNs)
    this.#particle.visible = share < 1 && isInFlight(this.#scene, timeNs)
    this.#particle.position.set(...particleAt(this.#scene, timeNs))
  }

  /** Draws a share of the sensors, by default all. */
  render(sensorShare = 1): void {
    if (sensorShare !== this.#sensorShare) this.#layers.touch()
    this.#sensorShare = sensorShare
    this.#sensors.geometry.setDrawRange(0, Math.round(SENSOR_COUNT * sensorShare))
    const isMoved = this.#layers.render(this.eye.camera)
    if (isMoved || this.#areLabelsNew) this.#labels.place(this.eye.camera, this.#size)
    this.#areLabelsNew = false
  }

  dispose(): void {
    for (const scene of [this.#backdrop, this.#front]) disposeGeometries(scene)
    for (const material of [this.#marks, this.#faces, ...this.#strokes]) material.dispose()
    this.eye.dispose()
    this.#layers.dispose()
  }

  #addEvent({ marks, lines, cones }: Scene): void {
    const faces = [...cones.flatMap(coneFaces), ...lines.flatMap(arrowFaces)]
    const strokes = [...cones.flatMap(coneStrokes), ...lines.flatMap(arrowStrokes)]
    this.#event.add(marksPoints(marks, this.#marks))
    this.#event.add(facesMesh(faces, this.#faces), ...strokeMeshes(strokes, this.#strokes))
  }
}

/** Frees the GPU buffers of an object and its children; materials are reused. */
function disposeGeometries(root: Object3D): void {
  root.traverse((object) => {
    if (object instanceof Mesh || object instanceof Points) object.geometry.dispose()
  })
}
