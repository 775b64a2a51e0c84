/** Draws one frame of so many milliseconds since the last. */
export type DrawFrame = (elapsedMs: number) => {
  /** More frames must follow. */
  readonly isMoving: boolean
  /** The time of this frame is of interest. */
  readonly isMeasured: boolean
}

const FRAMES_OF_A_MEASURE = 10
/** A pause longer than this is no frame: the page was hidden, or nothing moved. */
const PAUSE_MS = 250
/** Of an animation after a rest, as nothing is known of when it began. */
const FIRST_FRAME_MS = 16

/** Frames on demand: none while nothing moves. */
export class FrameLoop {
  /** Called now and then with the median time of the frames that are measured. */
  onMeasure: ((frameMs: number) => void) | undefined
  readonly #draw: DrawFrame
  #handle: number | undefined
  #lastMs: number | undefined
  #frames: number[] = []

  constructor(draw: DrawFrame) {
    this.#draw = draw
  }

  /** Something has changed: draw a frame, once, however often this is called before it. */
  request(): void {
    this.#handle ??= requestAnimationFrame((nowMs) => this.#frame(nowMs))
  }

  end(): void {
    if (this.#handle !== undefined) cancelAnimationFrame(this.#handle)
    this.#handle = undefined
  }

  #frame(nowMs: number): void {
    const elapsedMs = this.#lastMs === undefined ? FIRST_FRAME_MS : nowMs - this.#lastMs
    // Stays defined while drawing, so that what drawing changes asks for no second frame.
    const { isMoving, isMeasured } = this.#draw(Math.min(elapsedMs, PAUSE_MS))
    this.#handle = undefined
    this.#lastMs = isMoving ? nowMs : undefined
    if (!isMoving) return
    if (isMeasured && elapsedMs < PAUSE_MS) this.#measure(elapsedMs)
    this.request()
  }

  #measure(frameMs: number): void {
    this.#frames.push(frameMs)
    if (this.#frames.length < FRAMES_OF_A_MEASURE) return
    const median = this.#frames.toSorted((a, b) => a - b)[FRAMES_OF_A_MEASURE / 2]
    this.#frames = []
    this.onMeasure?.(median)
  }
}
