import type { SkyMap } from './map.ts'

/** A header value: text, a number, or true or false. */
export type FitsValue = string | number | boolean

const BLOCK_BYTES = 2_880
const CARD_CHARACTERS = 80
const ROW_BYTES = 16

/**
 * A multi-order HEALPix map as a FITS 4.0 file: a binary table of UNIQ (int64) and PROBDENSITY (float64, sr⁻¹), as GCN and
 * ligo.skymap write it. `notes` are further header cards; names have at most 8 characters.
 * @throws RangeError for a name or text that a card cannot hold
 */
export function writeFits(
  { uniq, density, orderMax }: SkyMap,
  notes: Readonly<Record<string, FitsValue>> = {},
): Uint8Array {
  const primary = header({ SIMPLE: true, BITPIX: 8, NAXIS: 0, EXTEND: true })
  const extension = header({
    XTENSION: 'BINTABLE',
    BITPIX: 8,
    NAXIS: 2,
    NAXIS1: ROW_BYTES,
    NAXIS2: uniq.length,
    PCOUNT: 0,
    GCOUNT: 1,
    TFIELDS: 2,
    TTYPE1: 'UNIQ',
    TFORM1: 'K',
    TTYPE2: 'PROBDENSITY',
    TFORM2: 'D',
    TUNIT2: 'sr-1',
    PIXTYPE: 'HEALPIX',
    ORDERING: 'NUNIQ',
    COORDSYS: 'C',
    INDXSCHM: 'EXPLICIT',
    MOCORDER: orderMax,
    MOC: true,
    ...notes,
  })
  const data = new Uint8Array(Math.ceil((uniq.length * ROW_BYTES) / BLOCK_BYTES) * BLOCK_BYTES)
  const view = new DataView(data.buffer)
  for (const [row, number] of uniq.entries()) {
    view.setBigInt64(ROW_BYTES * row, BigInt(number))
    view.setFloat64(ROW_BYTES * row + 8, density[row])
  }
  const file = new Uint8Array(primary.length + extension.length + data.length)
  file.set(primary)
  file.set(extension, primary.length)
  file.set(data, primary.length + extension.length)
  return file
}

function header(cards: Readonly<Record<string, FitsValue>>): Uint8Array {
  const text = [
    ...Object.entries(cards).map(([name, value]) => card(name, value)),
    'END'.padEnd(CARD_CHARACTERS),
  ].join('')
  const bytes = new TextEncoder().encode(text)
  const padded = new Uint8Array(Math.ceil(bytes.length / BLOCK_BYTES) * BLOCK_BYTES).fill(0x20)
  padded.set(bytes)
  return padded
}

function card(name: string, value: FitsValue): string {
  if (!/^[A-Z0-9_-]{1,8}$/.test(name)) throw new RangeError(`a FITS card cannot be named "${name}"`)
  const text = `${name.padEnd(8)}= ${toText(name, value)}`
  if (text.length > CARD_CHARACTERS)
    throw new RangeError(`the FITS card ${name} is longer than ${CARD_CHARACTERS} characters`)
  return text.padEnd(CARD_CHARACTERS)
}

function toText(name: string, value: FitsValue): string {
  if (typeof value === 'boolean') return (value ? 'T' : 'F').padStart(20)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new RangeError(`the FITS card ${name} cannot hold ${value}`)
    return String(value).toUpperCase().padStart(20)
  }
  if (!/^[\x20-\x7e]*$/.test(value))
    throw new RangeError(`the FITS card ${name} holds text that is not ASCII`)
  return `'${value.replaceAll("'", "''").padEnd(8)}'`
}
