/**
 * The CPU draws pictures that change once a second: on an emulated graphics card, lines cost a hundred times as much and
 * would delay the frames of the detector.
 */
const BY_PROCESSOR: CanvasRenderingContext2DSettings = { willReadFrequently: true }

export function plainContext(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  return canvas.getContext('2d', BY_PROCESSOR)
}

/** The same for canvases that a library creates inside `make` with default context settings. */
export function withPlainCanvases<T>(make: () => T): T {
  const { prototype } = HTMLCanvasElement
  const { getContext } = prototype
  // The overloads of the type cannot be passed through.
  prototype.getContext = function (this: HTMLCanvasElement) {
    return getContext.call(this, '2d', BY_PROCESSOR)
  } as typeof getContext
  try {
    return make()
  } finally {
    prototype.getContext = getContext
  }
}
