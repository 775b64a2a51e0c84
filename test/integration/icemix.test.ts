import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { angularDistance } from '../../src/event/direction.ts'
import { concatEvents, eventCount, sliceEvents } from '../../src/event/event-batch.ts'
import type { Inference } from '../../src/inference/inferrer.ts'
import { type LocalModel, openLocalModel } from '../../src/inference/network/local.ts'
import { madeUpEvents } from '../../src/inference/network/warm-up.ts'
import { simulateEvents } from '../../src/simulator/simulate.ts'
import { writeModelFolder } from '../support/model-folder.ts'

const fixture = fileURLToPath(new URL('../fixtures/models/icemix-small', import.meta.url))
/** Weights drawn at random magnify rounding; runs of other shapes round otherwise. */
const TOLERANCE_RAD = 5e-4

async function open(folder: string): Promise<LocalModel> {
  const model = await openLocalModel(folder, { threads: 1 })
  onTestFinished(() => model[Symbol.asyncDispose]())
  return model
}

/** The fixture with another cap. Its parity events are cut at the cap of the fixture, so it goes without. */
async function withCap(max: number): Promise<string> {
  const manifest = JSON.parse(await readFile(join(fixture, 'model.json'), 'utf8'))
  const folder = await writeModelFolder({
    manifest: { ...manifest, pulses: { ...manifest.pulses, max }, parity: null },
  })
  await copyFile(join(fixture, 'model.onnx'), join(folder, 'model.onnx'))
  return folder
}

function apart(a: Inference, i: number, b: Inference, j: number): number {
  return angularDistance(
    { azimuth: a.azimuth[i], zenith: a.zenith[i] },
    { azimuth: b.azimuth[j], zenith: b.zenith[j] },
  )
}

describe('IceMix', () => {
  it.each([
    { max: 192, lengths: [1, 2, 9, 191, 192, 193] },
    { max: 768, lengths: [1, 768, 2] },
  ])('answers events of $lengths pulses in company as alone, cap $max', async ({ max, lengths }) => {
    const model = await open(await withCap(max))
    const batch = concatEvents([madeUpEvents(lengths), simulateEvents(3, 0, 8)])
    const together = await model.infer(batch)
    expect(together.faults).toEqual([])
    for (let event = 0; event < eventCount(batch); event++) {
      const alone = await model.infer(sliceEvents(batch, event, event + 1))
      expect(apart(together, event, alone, 0)).toBeLessThan(TOLERANCE_RAD)
      expect(alone.kappa[0]).toBeGreaterThan(0)
    }
  })
})
