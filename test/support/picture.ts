import type { Browser } from 'playwright-core'

export interface Picture {
  readonly width: number
  readonly height: number
  /** Red, green, blue, alpha of each pixel, 0 to 255. */
  readonly pixels: Uint8Array
}

/** Runs in the browser, whose names are not declared here. */
const READ = `(async (data) => {
  const bitmap = await createImageBitmap(await (await fetch('data:image/png;base64,' + data)).blob())
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
  context.drawImage(bitmap, 0, 0)
  const bytes = context.getImageData(0, 0, bitmap.width, bitmap.height).data
  let text = ''
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return { width: bitmap.width, height: bitmap.height, base64: btoa(text) }
})`

/** Pixels of a PNG, read by the browser itself on an empty page. */
export async function readPicture(browser: Browser, png: Buffer): Promise<Picture> {
  const page = await browser.newPage()
  try {
    const read: unknown = await page.evaluate(`${READ}(${JSON.stringify(png.toString('base64'))})`)
    // As the script above returns it.
    const { width, height, base64 } = read as { width: number; height: number; base64: string }
    return { width, height, pixels: Buffer.from(base64, 'base64') }
  } finally {
    await page.close()
  }
}

/** Positions of the pixels that a colour test accepts. */
export function pixelsLike(
  { width, pixels }: Picture,
  accepts: (red: number, green: number, blue: number) => boolean,
): [number, number][] {
  const places: [number, number][] = []
  for (let i = 0; i < pixels.length; i += 4) {
    if (accepts(pixels[i], pixels[i + 1], pixels[i + 2]))
      places.push([(i / 4) % width, Math.floor(i / 4 / width)])
  }
  return places
}

/** Elongation of a cloud of pixels: the ratio of its spreads along its two axes. */
export function elongation(places: readonly (readonly [number, number])[]): number {
  const [mx, my] = centre(places)
  let [xx, yy, xy] = [0, 0, 0]
  for (const [x, y] of places) {
    xx += (x - mx) ** 2
    yy += (y - my) ** 2
    xy += (x - mx) * (y - my)
  }
  const middle = (xx + yy) / 2
  const off = Math.hypot((xx - yy) / 2, xy)
  return Math.sqrt((middle + off) / (middle - off))
}

export function centre(places: readonly (readonly [number, number])[]): [number, number] {
  const sum = (axis: 0 | 1) => places.reduce((total, place) => total + place[axis], 0) / places.length
  return [sum(0), sum(1)]
}
