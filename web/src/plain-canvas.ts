/**
 * Pictures that change once a second are drawn by the processor: where the graphics card is emulated, lines drawn by it
 * cost a hundred times as much, and would hold up the frames of the detector.
 */
const BY_PROCESSOR: CanvasRenderingContext2DSettings = { willReadFrequently: true }

export function plainContext(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  return canvas.getContext('2d', BY_PROCESSOR)
}

/** The same for canvases that a library makes inside `make`, which asks for their contexts without saying how. */
export function withPlainCanvases<T>(make: () => T): T {
  const { prototype } = HTMLCanvasElement
  const { getContext } = prototype
  // The overloads of the type say more than can be passed through.
  prototype.getContext = function (this: HTMLCanvasElement) {
    return getContext.call(this, '2d', BY_PROCESSOR)
  } as typeof getContext
  try {
    return make()
  } finally {
    prototype.getContext = getContext
  }
}
