/** Draws a frame, given the milliseconds since the last one. */
export type DrawFrame = (elapsedMs: number) => {
  /** True if more frames must follow. */
  readonly isMoving: boolean
  /** True if the time of this frame is to be measured. */
  readonly isMeasured: boolean
}

const FRAMES_OF_A_MEASURE = 10
/** A longer pause is not counted as a frame: the page was hidden, or nothing moved. */
const PAUSE_MS = 250
/** Assumed time of the first frame after a rest, whose start is not known. */
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

  /** Requests one frame, however often it is called before that frame. */
  request(): void {
    this.#handle ??= requestAnimationFrame((nowMs) => this.#frame(nowMs))
  }

  end(): void {
    if (this.#handle !== undefined) cancelAnimationFrame(this.#handle)
    this.#handle = undefined
  }

  #frame(nowMs: number): void {
    const elapsedMs = this.#lastMs === undefined ? FIRST_FRAME_MS : nowMs - this.#lastMs
    // Stays defined while drawing, so that changes made by drawing request no second frame.
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
