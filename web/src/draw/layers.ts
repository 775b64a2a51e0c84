import {
  type Camera,
  Mesh,
  PlaneGeometry,
  type Scene,
  ShaderMaterial,
  type WebGLRenderer,
  WebGLRenderTarget,
} from 'three'

/**
 * Draws a backdrop, seldom, and what moves before it, often. The 5,160 sensors cost a software renderer more than
 * everything else, and change only with the view.
 */
export class Layers {
  readonly #renderer: WebGLRenderer
  readonly #backdrop: Scene
  readonly #front: Scene
  readonly #detector = new WebGLRenderTarget(1, 1, { depthBuffer: false })
  #isFresh = false

  constructor(renderer: WebGLRenderer, backdrop: Scene, front: Scene) {
    this.#renderer = renderer
    this.#backdrop = backdrop
    this.#front = front
    const behind = pictureMesh(this.#detector)
    behind.renderOrder = -1
    this.#front.add(behind)
  }

  /** The view has changed: the backdrop is drawn again. */
  touch(): void {
    this.#isFresh = false
  }

  /** @param pixels of the canvas */
  render(camera: Camera, pixels: { readonly width: number; readonly height: number }): void {
    const { width, height } = pixels
    if (this.#detector.width !== width || this.#detector.height !== height) {
      this.#detector.setSize(width, height)
      this.#isFresh = false
    }
    if (!this.#isFresh) this.#draw(this.#backdrop, camera, this.#detector)
    this.#isFresh = true
    this.#draw(this.#front, camera, null)
  }

  dispose(): void {
    this.#detector.dispose()
  }

  #draw(scene: Scene, camera: Camera, target: WebGLRenderTarget | null): void {
    this.#renderer.setRenderTarget(target)
    this.#renderer.render(scene, camera)
  }
}

/** Covers everything with a picture. */
function pictureMesh(picture: WebGLRenderTarget): Mesh {
  const material = new ShaderMaterial({
    uniforms: { picture: { value: picture.texture } },
    depthTest: false,
    depthWrite: false,
    vertexShader: `
      varying vec2 place;
      void main() {
        place = uv;
        gl_Position = vec4(position.xy, 0.0, 1.0);
      }`,
    fragmentShader: `
      uniform sampler2D picture;
      varying vec2 place;
      void main() {
        gl_FragColor = vec4(texture2D(picture, place).rgb, 1.0);
      }`,
  })
  const mesh = new Mesh(new PlaneGeometry(2, 2), material)
  mesh.frustumCulled = false
  return mesh
}
