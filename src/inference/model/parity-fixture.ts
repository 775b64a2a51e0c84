import { join } from 'node:path'
import { z } from 'zod'
import type { EventBatch } from '../../event/event-batch.ts'
import { SENSOR_COUNT } from '../../event/sensors.ts'
import { checkedAs, readJson } from './read-manifest.ts'

const flag = z.union([z.literal(0), z.literal(1), z.boolean()]).transform(Number)

const event = z
  .strictObject({
    eventId: z.union([z.int(), z.string().regex(/^\d+$/)]),
    sensorId: z
      .array(
        z
          .int()
          .min(0)
          .max(SENSOR_COUNT - 1),
      )
      .min(1),
    time: z.array(z.number()),
    charge: z.array(z.number().positive()),
    auxiliary: z.array(flag),
    expected: z.strictObject({
      azimuth: z.number(),
      zenith: z.number().min(0).max(Math.PI),
      kappa: z.number().min(0).optional(),
      degenerate: z.boolean().optional(),
    }),
  })
  .superRefine(({ sensorId, time, charge, auxiliary }, context) => {
    for (const [key, values] of Object.entries({ time, charge, auxiliary })) {
      if (values.length === sensorId.length) continue
      const message = `has ${values.length} values, sensorId ${sensorId.length}`
      context.addIssue({ code: 'custom', path: [key], message })
    }
  })

const tensors = z.strictObject({
  tolerance: z.number().positive(),
  values: z.record(
    z.string(),
    z.strictObject({ shape: z.array(z.int().min(0)), data: z.array(z.union([z.number(), z.boolean()])) }),
  ),
})

const fixtureSchema = z.strictObject({
  formatVersion: z.literal(1),
  madeBy: z.string().min(1),
  toleranceRad: z.number().positive().max(0.1),
  kappaTolerance: z.number().positive().default(1e-3),
  events: z.array(event).min(1),
  tensors: tensors.optional(),
})

/** What the framework that trained a network answered. Specified in docs/models.md. */
export interface ParityFixture extends z.infer<typeof fixtureSchema> {
  /** Of the file, for messages. */
  readonly path: string
}
export type ParityEvent = ParityFixture['events'][number]

/** @throws UsageError `model_missing` without the file, `model_manifest_invalid` naming each wrong field */
export async function readParityFixture(folder: string, file: string): Promise<ParityFixture> {
  const path = join(folder, file)
  const content = await readJson(path, 'model_manifest_invalid')
  return { ...checkedAs(fixtureSchema, content, path, 'model_manifest_invalid'), path }
}

export function toEventBatch(events: readonly ParityEvent[]): EventBatch {
  const offsets = new Int32Array(events.length + 1)
  for (const [i, { sensorId }] of events.entries()) offsets[i + 1] = offsets[i] + sensorId.length
  return {
    eventIds: BigInt64Array.from(events, ({ eventId }) => BigInt(eventId)),
    offsets,
    sensorIds: Uint16Array.from(events.flatMap(({ sensorId }) => sensorId)),
    times: Float32Array.from(events.flatMap(({ time }) => time)),
    charges: Float32Array.from(events.flatMap(({ charge }) => charge)),
    auxiliary: Uint8Array.from(events.flatMap(({ auxiliary }) => auxiliary)),
  }
}
