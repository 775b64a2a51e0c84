import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { writePredictions } from '../../src/archive/writer.ts'
import type { PredictionBatch } from '../../src/event/prediction-wire.ts'
import { startNustream } from '../support/nustream.ts'
import { NO_PYTHON, openPython, runPython } from '../support/python.ts'

const python = (await openPython()) ?? ''
const reader = fileURLToPath(new URL('../support/read_sky_map.py', import.meta.url))

const utc = BigInt(Date.UTC(2023, 11, 2, 17, 8, 24)) * 1_000_000n + 93_230_000n

/** Three predictions: of a public event's direction, one without a time, and one without kappa. */
function predictions(kappa: number): PredictionBatch {
  return {
    origin: { batchId: 'b', model: 'm', modelVersion: '1', consumer: 'c', emittedAtMs: 1, predictedAtMs: 2 },
    eventIds: BigInt64Array.of(1n, 2n, 3n),
    azimuth: Float64Array.of(4.87687, 1, 1),
    zenith: Float64Array.of(1.57163, 1, 1),
    kappa: Float64Array.of(kappa, 10, Number.NaN),
    degenerate: Uint8Array.of(0, 0, 0),
    pulses: Int32Array.of(9, 9, 9),
    utc: BigInt64Array.of(utc, 0n, utc),
  }
}

async function archiveOf(t: TestContext, kappa = 5_000): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-sky-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true }))
  await writePredictions(join(folder, 'predictions.parquet'), [predictions(kappa)])
  return folder
}

async function skymap(t: TestContext, args: readonly string[]) {
  const child = startNustream(['skymap', ...args], t)
  return { code: await child.ended, stdout: child.stdout(), stderr: child.stderr() }
}

describe('maps of nustream skymap', () => {
  beforeEach((t) => t.skip(!python, NO_PYTHON))

  it.each([1, 100, 5_000, 200_000])(
    'writes a map of a kappa of %d that the libraries of the field read',
    async (kappa) => {
      const folder = mkdtempSync(join(tmpdir(), 'nustream-sky-'))
      try {
        await writePredictions(join(folder, 'predictions.parquet'), [predictions(kappa)])
        const out = join(folder, '1.multiorder.fits')
        const child = startNustream(['skymap', '1', '--archive', folder, '--out', out, '--json'])
        expect(await child.ended).toBe(0)
        const facts = JSON.parse(child.stdout())
        // The place that IceCube published of the event.
        expect(facts.ra).toBeCloseTo(138.6545, 3)
        expect(facts.dec).toBeCloseTo(0.1418, 3)
        const found = JSON.parse((await runPython(python, [reader, out])).toString())
        expect(found.unit).toBe('1 / sr')
        expect(found.object).toBe('1')
        expect(Math.abs(found.probability - 1)).toBeLessThan(1e-6)
        expect(found.sky).toBeCloseTo(4 * Math.PI, 9)
        expect(found.mhealpy.isMoc).toBe(true)
        expect(found.areas[0] / facts.area50).toBeCloseTo(1, 6)
        expect(found.areas[1] / facts.area90).toBeCloseTo(1, 6)
        if (kappa > 1_000) {
          expect(Math.abs(found.peak[0] - facts.ra)).toBeLessThan(0.1)
          expect(Math.abs(found.peak[1] - facts.dec)).toBeLessThan(0.1)
        }
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  )
})

describe('nustream skymap', () => {
  it.each([
    { event: '2', says: /time of event 2 is not known/ },
    { event: '3', says: /event 3 has no uncertainty: m 1 gave no kappa/ },
    { event: '4', says: /holds no prediction of event 4/ },
    { event: '1e3', says: /"1e3" is not an event id/ },
  ])('says why there is no map of event $event', async ({ event, says }) => {
    const folder = mkdtempSync(join(tmpdir(), 'nustream-sky-'))
    try {
      await writePredictions(join(folder, 'predictions.parquet'), [predictions(5_000)])
      const child = startNustream(['skymap', event, '--archive', folder, '--out', join(folder, 'x.fits')])
      expect(await child.ended).toBe(2)
      expect(child.stderr()).toMatch(says)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('names a folder without an archive, and a file that cannot be written', async (t) => {
    const missing = await skymap(t, ['1', '--archive', '/nowhere/archive'])
    expect(missing.stderr).toMatch(/--archive \/nowhere\/archive: .*No files found/)
    const unwritable = await skymap(t, ['1', '--archive', await archiveOf(t), '--out', '/nowhere/x.fits'])
    expect(unwritable.stderr).toMatch(/--out \/nowhere\/x.fits cannot be written/)
    expect([missing.code, unwritable.code]).toEqual([2, 2])
  })

  it('writes to a file that is named by the event unless told', async (t) => {
    const folder = await archiveOf(t)
    const child = startNustream(['skymap', '1', '--archive', folder], t, { cwd: folder })
    expect(await child.ended).toBe(0)
    expect(readFileSync(join(folder, '1.multiorder.fits')).subarray(0, 6).toString()).toBe('SIMPLE')
    expect(child.stdout()).toMatch(/ICRS +RA 138\.654\d°, Dec 0\.141\d°/)
  })
})
