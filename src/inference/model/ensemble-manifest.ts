import { z } from 'zod'
import { descriptionSchema } from './manifest.ts'

const member = z.strictObject({
  folder: z.string().min(1),
  weight: z.number().positive('must be above 0: a member of weight 0 would be asked for nothing'),
})

/** The manifest of several models that answer together, strictly. Specified in docs/models.md. */
export const ensembleSchema = descriptionSchema.extend({
  members: z.array(member).min(1),
  /** Each component of a member's raw vector is cut to this before it is weighed. */
  clip: z.number().positive().optional(),
})

export type EnsembleManifest = z.infer<typeof ensembleSchema>
