import { z } from 'zod'
import { UsageError } from '../errors.ts'
import type { FilePlace } from './event-assembler.ts'

/** A place in a file as it is written into a resume string. */
export const storedPlace = z.strictObject({
  row: z.int().min(0),
  /** A 64-bit number, which JSON's numbers cannot hold. */
  highestId: z
    .string()
    .regex(/^-?\d+$/)
    .optional(),
})
export type StoredPlace = z.infer<typeof storedPlace>

export function toStoredPlace({ row, highestId }: FilePlace): StoredPlace {
  return { row, ...(highestId !== undefined && { highestId: String(highestId) }) }
}

export function fromStoredPlace({ row, highestId }: StoredPlace): FilePlace {
  return { row, highestId: highestId === undefined ? undefined : BigInt(highestId) }
}

/** Reads a resume string by its schema. @throws UsageError where it is not one of this kind of source */
export function readResume<T>(schema: z.ZodType<T>, resume: string, spec: string): T {
  try {
    return schema.parse(JSON.parse(resume))
  } catch (cause) {
    const message = `the position "${resume.slice(0, 200)}" is not one of ${spec}; begin another run with --run NAME`
    throw new UsageError('source_unreadable', message, { cause })
  }
}
