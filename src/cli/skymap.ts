import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { openDuckDb } from '../formats/parquet/duckdb.ts'
import { type ArchivedPrediction, findPrediction } from '../formats/parquet/read-predictions.ts'
import { ICECUBE_SITE, toEquatorial, toGalactic } from '../sky/coordinates.ts'
import { Mixture } from '../sky/distribution.ts'
import { writeFits } from '../sky/fits.ts'
import { regionArea, toSkyMap } from '../sky/map.ts'
import { addCommand } from './command.ts'
import { jsonSetting } from './settings.ts'

const settings = {
  archive: z.string().describe('folder of archived predictions').meta({ value: 'folder' }),
  out: z
    .string()
    .optional()
    .describe('file to write (default: EVENT.multiorder.fits)')
    .meta({ value: 'file' }),
  ...jsonSetting,
}

type Config = z.infer<z.ZodObject<typeof settings>>

const DEGREES = 180 / Math.PI
const SQUARE_DEGREES = DEGREES ** 2

export function add(program: Command): void {
  addCommand(program, {
    name: 'skymap',
    summary: 'write the sky map of an archived prediction',
    description:
      'Writes the probability of the source direction as a multi-order HEALPix map (FITS, ICRS, probability per steradian), and prints the position and the areas that hold 50 and 90 %. The prediction needs a kappa and the time of the event.',
    examples: [
      'nustream skymap 76213752054614144 --archive predictions',
      'nustream skymap 76213752054614144 --archive predictions --out event.multiorder.fits --json',
    ],
    arguments: [{ spec: '<event>', description: 'id of the event' }],
    shape: settings,
    run: async (config, [event]) => {
      const map = toMap(event, await findEvent(event, config))
      const file = config.out ?? `${event}.multiorder.fits`
      await write(file, map.fits)
      console.log(config.json ? JSON.stringify({ ...map.facts, file }) : renderFacts(map.facts, file))
      return 0
    },
  })
}

async function findEvent(event: string, { archive }: Config): Promise<ArchivedPrediction> {
  if (!/^-?\d{1,19}$/.test(event))
    throw new UsageError('flag_invalid', `"${event}" is not an event id; expected a whole number`)
  const db = await openDuckDb()
  try {
    const found = await findPrediction(db, archive, BigInt(event))
    if (found) return found
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError('flag_invalid', `--archive ${reason}`, { cause })
  } finally {
    db.closeSync()
  }
  throw new UsageError('flag_invalid', `${archive} holds no prediction of event ${event}`)
}

/** The figures of a sky map. Degrees and square degrees, ICRS. */
interface Facts {
  readonly event: string
  readonly utc: string
  readonly ra: number
  readonly dec: number
  readonly galacticLongitude: number
  readonly galacticLatitude: number
  readonly area50: number
  readonly area90: number
  readonly model: string
  readonly pixels: number
}

function toMap(event: string, prediction: ArchivedPrediction): { fits: Uint8Array; facts: Facts } {
  const { kappa, utcMs, isDegenerate, model, modelVersion } = prediction
  if (utcMs === null)
    throw new UsageError(
      'flag_invalid',
      `the time of event ${event} is not known; without it the position on the sky cannot be computed`,
    )
  if (kappa === null || isDegenerate)
    throw new UsageError(
      'flag_invalid',
      `event ${event} has no uncertainty: ${model} ${modelVersion} gave no kappa`,
    )
  const place = toEquatorial(prediction, utcMs, ICECUBE_SITE)
  const galactic = toGalactic(place)
  const map = toSkyMap(new Mixture([{ ...place, weight: 1, kappa }]))
  const utc = new Date(utcMs).toISOString()
  const facts: Facts = {
    event,
    utc,
    ra: place.rightAscension * DEGREES,
    dec: place.declination * DEGREES,
    galacticLongitude: galactic.longitude * DEGREES,
    galacticLatitude: galactic.latitude * DEGREES,
    area50: regionArea(map, 0.5) * SQUARE_DEGREES,
    area90: regionArea(map, 0.9) * SQUARE_DEGREES,
    model: `${model} ${modelVersion}`,
    pixels: map.uniq.length,
  }
  const fits = writeFits(map, {
    OBJECT: event,
    'DATE-OBS': utc.slice(0, -1),
    'MJD-OBS': utcMs / 86_400_000 + 40_587,
    CREATOR: 'nustream',
    MODEL: facts.model.slice(0, 60),
    RA: facts.ra,
    DEC: facts.dec,
    AREA50: facts.area50,
    AREA90: facts.area90,
  })
  return { fits, facts }
}

async function write(file: string, fits: Uint8Array): Promise<void> {
  try {
    await writeFile(file, fits)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError('flag_invalid', `--out ${file} cannot be written: ${reason}`, { cause })
  }
}

function renderFacts(facts: Facts, file: string): string {
  const degrees = (value: number) => `${value.toFixed(4)}°`
  const area = (value: number) => `${value < 10 ? value.toFixed(3) : Math.round(value)} deg²`
  return [
    `event          ${facts.event}, ${facts.utc}`,
    `ICRS           RA ${degrees(facts.ra)}, Dec ${degrees(facts.dec)}`,
    `galactic       l ${degrees(facts.galacticLongitude)}, b ${degrees(facts.galacticLatitude)}`,
    `area           50 % in ${area(facts.area50)}, 90 % in ${area(facts.area90)}`,
    `model          ${facts.model}`,
    `map            ${file}, ${facts.pixels} pixels`,
  ].join('\n')
}
