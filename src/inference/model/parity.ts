import { join } from 'node:path'
import { z } from 'zod'
import { UsageError } from '../../errors.ts'
import { angularDistance } from '../../event/direction.ts'
import { type EventBatch, sliceEvents } from '../../event/event-batch.ts'
import { SENSOR_COUNT } from '../../event/sensors.ts'
import type { Directions } from '../directions.ts'
import { buildBuildTensors } from '../tensors/build-tensors.ts'
import { wholeRun } from '../tensors/select-pulses.ts'
import type { Tensor } from '../tensors/tensor.ts'
import { checkedAs, readJson } from './folder.ts'
import type { ModelManifest } from './manifest.ts'

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

/** How near a model came to its fixture. */
export interface ParityReport {
  readonly events: number
  /** Largest opening angle between expected and got, rad. */
  readonly worstRad: number
  readonly toleranceRad: number
}

type Infer = (batch: ReturnType<typeof toEventBatch>) => Promise<Directions>

/**
 * That a model answers its fixture's events as the framework that trained it did: all together, and each alone, so that
 * neither neighbours nor padding change an answer.
 * @throws UsageError `model_parity_failed` naming the event, what was expected, what came, and by how much it is off
 */
export async function checkParity(fixture: ParityFixture, infer: Infer): Promise<ParityReport> {
  const batch = toEventBatch(fixture.events)
  const together = await infer(batch)
  let worstRad = 0
  for (const [i, event] of fixture.events.entries()) {
    worstRad = Math.max(worstRad, compare(event, together, i, fixture))
    const alone = await infer(sliceEvents(batch, i, i + 1))
    worstRad = Math.max(worstRad, compare(event, alone, 0, fixture))
  }
  return { events: fixture.events.length, worstRad, toleranceRad: fixture.toleranceRad }
}

/** That the tensors of a fixture, where it holds any, are those that nustream makes of its events. */
export function checkParityTensors(fixture: ParityFixture, manifest: ModelManifest): void {
  if (fixture.tensors === undefined) return
  const { tolerance, values } = fixture.tensors
  const made = buildTensorsOf(fixture, manifest)
  for (const [name, expected] of Object.entries(values)) {
    const got = made[name]
    if (got === undefined)
      throw failed(fixture, `tensor "${name}" is in the fixture, but not among the manifest's inputs`)
    if (`${got.shape}` !== `${expected.shape}`) {
      throw failed(fixture, `tensor "${name}": expected the shape [${expected.shape}], got [${got.shape}]`)
    }
    for (const [i, value] of expected.data.entries()) {
      const difference = Math.abs(Number(got.data[i]) - Number(value))
      if (difference <= tolerance * Math.max(1, Math.abs(Number(value)))) continue
      const where = `tensor "${name}", value ${i} (row-major)`
      throw failed(
        fixture,
        `${where}: expected ${Number(value)}, got ${got.data[i]}, difference ${difference}`,
      )
    }
  }
}

function buildTensorsOf(fixture: ParityFixture, manifest: ModelManifest): Readonly<Record<string, Tensor>> {
  return buildBuildTensors(manifest)(wholeRun(toEventBatch(fixture.events), manifest.pulses))
}

/** Opening angle between expected and got, rad. */
function compare(event: ParityEvent, got: Directions, i: number, fixture: ParityFixture): number {
  const fault = got.faults.find(({ index }) => index === i)
  if (fault) throw failed(fixture, `event ${event.eventId}: expected a direction, got none: ${fault.message}`)
  const { expected } = event
  const direction = { azimuth: got.azimuth[i], zenith: got.zenith[i] }
  const offRad = angularDistance(expected, direction)
  if (!(offRad <= fixture.toleranceRad)) {
    const pair = `expected ${show(expected)}, got ${show(direction)}`
    throw failed(
      fixture,
      `event ${event.eventId}: ${pair}: ${offRad.toExponential(3)} rad apart, allowed ${fixture.toleranceRad}`,
    )
  }
  if (expected.kappa !== undefined) {
    const off = Math.abs(got.kappa[i] - expected.kappa) / Math.max(1, expected.kappa)
    if (!(off <= fixture.kappaTolerance)) {
      const pair = `expected kappa ${expected.kappa}, got ${got.kappa[i]}`
      throw failed(
        fixture,
        `event ${event.eventId}: ${pair}: off by ${off.toExponential(3)}, allowed ${fixture.kappaTolerance}`,
      )
    }
  }
  if (expected.degenerate !== undefined && expected.degenerate !== (got.degenerate[i] === 1)) {
    throw failed(
      fixture,
      `event ${event.eventId}: expected degenerate ${expected.degenerate}, got ${got.degenerate[i] === 1}`,
    )
  }
  return offRad
}

function show({ azimuth, zenith }: { azimuth: number; zenith: number }): string {
  return `azimuth ${azimuth.toFixed(6)} zenith ${zenith.toFixed(6)}`
}

function failed({ path }: ParityFixture, what: string): UsageError {
  const remedy =
    'the manifest or the network is not what the fixture was made with: export all three together again'
  return new UsageError('model_parity_failed', `${path}: ${what}; ${remedy}`)
}
