import { z } from 'zod'
import type { DriftReference } from '../../drift/reference.ts'
import { referenceSchema } from '../model/manifest.ts'

const answer = z.object({ reference: referenceSchema.nullish() })

/** The reference in what a model server says at `GET /model`; undefined where it says nothing of the kind. */
export function readServedReference(body: Uint8Array): DriftReference | undefined {
  try {
    const parsed = answer.safeParse(JSON.parse(Buffer.from(body).toString()))
    return parsed.data?.reference ?? undefined
  } catch {
    // Not JSON: an older server, or another program. Without a reference nothing is compared.
    return undefined
  }
}
