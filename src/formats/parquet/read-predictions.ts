import { join } from 'node:path'
import { type DuckDb, firstLine, queryRows, toLiteralPath } from './duckdb.ts'

/** One archived prediction. Angles in radians. */
export interface ArchivedPrediction {
  readonly azimuth: number
  readonly zenith: number
  /** Null where the model gives none. */
  readonly kappa: number | null
  readonly isDegenerate: boolean
  /** Unix milliseconds; null where the time of the event is not known. */
  readonly utcMs: number | null
  readonly model: string
  readonly modelVersion: string
}

/**
 * The newest prediction of an event in an archive's folder; undefined where it has none.
 * @throws Error where the folder holds no archive, or a file of it cannot be read
 */
export async function findPrediction(
  db: DuckDb,
  folder: string,
  eventId: bigint,
): Promise<ArchivedPrediction | undefined> {
  const connection = await db.connect()
  try {
    const files = `${toLiteralPath(folder)}/*.parquet`
    const [row] = await queryRows(
      connection,
      `SELECT azimuth, zenith, kappa, degenerate, epoch_us(utc), model, model_version
       FROM read_parquet(?, union_by_name = true) WHERE event_id = CAST(? AS BIGINT) ORDER BY predicted_at DESC LIMIT 1`,
      [files, String(eventId)],
    )
    return row && toPrediction(row)
  } catch (cause) {
    throw new Error(`${join(folder)}: ${firstLine(cause)}`, { cause })
  } finally {
    connection.closeSync()
  }
}

function toPrediction([
  azimuth,
  zenith,
  kappa,
  degenerate,
  utcUs,
  model,
  version,
]: unknown[]): ArchivedPrediction {
  return {
    azimuth: Number(azimuth),
    zenith: Number(zenith),
    kappa: kappa === null ? null : Number(kappa),
    isDegenerate: degenerate === true,
    utcMs: utcUs === null ? null : Number(utcUs) / 1000,
    model: String(model),
    modelVersion: String(version),
  }
}
