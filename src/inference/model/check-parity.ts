import { UsageError } from '../../errors.ts'
import { angularDistance } from '../../event/direction.ts'
import { sliceEvents } from '../../event/event-batch.ts'
import type { Directions } from '../directions.ts'
import { buildBuildTensors } from '../tensors/build-tensors.ts'
import { wholeRun } from '../tensors/select-pulses.ts'
import type { Tensor } from '../tensors/tensor.ts'
import type { ModelManifest } from './manifest.ts'
import { type ParityEvent, type ParityFixture, toEventBatch } from './parity-fixture.ts'

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
