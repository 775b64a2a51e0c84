import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { listModels, showModel, verifyModel } from '../../src/inference/model/models.ts'
import { SUM_GRAPH, SUM_MANIFEST, writeModelFolder } from '../support/model-folder.ts'
import { toParity } from '../support/parity.ts'
import { makeEvents } from '../support/plain-events.ts'

describe('listModels()', () => {
  it('lists the line fit and every folder, sound or not', async () => {
    const sound = await writeModelFolder({ manifest: SUM_MANIFEST })
    const broken = await writeModelFolder({ manifest: { ...SUM_MANIFEST, formatVersion: 9 } })
    const models = await listModels([dirname(sound), '/no/such/root'])
    expect(models[0]).toMatchObject({ spec: 'linefit', name: 'linefit' })
    expect(models.find(({ spec }) => spec === sound)).toMatchObject({ name: 'sum', problem: undefined })
    expect(models.find(({ spec }) => spec === broken)?.problem).toMatch(/formatVersion is 9/)
  })
})

describe('showModel()', () => {
  it("gives the manifest and the network's own inputs and outputs", async () => {
    const { manifest, graph } = await showModel(
      await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }),
    )
    expect(manifest?.name).toBe('sum')
    expect(graph?.inputs).toEqual(SUM_GRAPH.inputs)
    expect(graph?.outputs).toEqual(SUM_GRAPH.outputs)
  })

  it('knows the line fit', async () => {
    expect(await showModel('linefit')).toEqual({ manifest: undefined, graph: undefined })
  })
})

describe('verifyModel()', () => {
  it('reports a sound model that nothing proves', async () => {
    const report = await verifyModel(await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }))
    expect(report).toMatchObject({ isSound: true, name: 'sum', version: '1', problem: undefined })
    expect(report.warnings).toEqual([expect.stringMatching(/no parity fixture/)])
  })

  it('reports what is wrong', async () => {
    const parity = toParity(makeEvents(1), [{ azimuth: 0, zenith: 0 }])
    const manifest = { ...SUM_MANIFEST, parity: 'parity.json' }
    const report = await verifyModel(await writeModelFolder({ network: SUM_GRAPH, manifest, parity }))
    expect(report).toMatchObject({ isSound: false, problem: { code: 'model_parity_failed' } })
  })
})
