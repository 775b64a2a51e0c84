/** Red, green, blue, 0 to 1, as in sRGB. */
export type Rgb = readonly [number, number, number]

const STEPS = 256

/**
 * The path of the scale through OKLCH: lightness, chroma, hue (degrees). Early is light and yellow, late is dim and
 * violet. Lightness falls monotonically, so that the scale can be read without hues, and ends above that of the dark page.
 */
const PATH: readonly (readonly [number, number, number])[] = [
  [0.95, 0.11, 100],
  [0.85, 0.14, 76],
  [0.76, 0.16, 42],
  [0.67, 0.17, 8],
  [0.58, 0.18, 330],
  [0.49, 0.19, 295],
]

const SCALE: readonly Rgb[] = buildScale()

/** Colour of a share, 0 (early) to 1 (late), clamped outside. Equal steps look equally far apart (OKLab). */
export function scaleColour(share: number): Rgb {
  const step = Number.isNaN(share) ? 0 : Math.round(Math.min(1, Math.max(0, share)) * (STEPS - 1))
  return SCALE[step]
}

export function toCss([red, green, blue]: Rgb): string {
  return `rgb(${Math.round(red * 255)} ${Math.round(green * 255)} ${Math.round(blue * 255)})`
}

/** sRGB to OKLab. Source: Björn Ottosson, "A perceptual color space for image processing", 2020. */
export function toOklab(rgb: Rgb): [number, number, number] {
  const [r, g, b] = rgb.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ]
}

/** Samples the path in steps of equal length in OKLab. */
function buildScale(): Rgb[] {
  const fine = Array.from({ length: 2_001 }, (_, i) => pathPoint(i / 2_000))
  const lengths = [0]
  for (let i = 1; i < fine.length; i++) lengths.push(lengths[i - 1] + distance(fine[i], fine[i - 1]))
  const total = lengths[lengths.length - 1]
  return Array.from({ length: STEPS }, (_, step) => {
    const wanted = (step / (STEPS - 1)) * total
    const i = lengths.findIndex((length) => length >= wanted)
    return toRgb(fine[i])
  })
}

/** OKLab of a share of the path, smooth at its points (Catmull-Rom). */
function pathPoint(share: number): [number, number, number] {
  const last = PATH.length - 1
  const i = Math.min(last - 1, Math.floor(share * last))
  const t = share * last - i
  const points = [i - 1, i, i + 1, i + 2].map((at) => labOf(PATH[Math.min(last, Math.max(0, at))]))
  const at = (axis: number) => {
    const [a, b, c, d] = points.map((point) => point[axis])
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
  }
  return [at(0), at(1), at(2)]
}

function labOf([lightness, chroma, hue]: readonly [number, number, number]): [number, number, number] {
  const angle = (hue * Math.PI) / 180
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)]
}

/** OKLab to sRGB, clipped to what a screen can show. */
function toRgb([lightness, a, b]: readonly [number, number, number]): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ]
  const [red, green, blue] = linear.map((value) => {
    const shown = value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055
    return Math.min(1, Math.max(0, shown))
  })
  return [red, green, blue]
}

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
}
