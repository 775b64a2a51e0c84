import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { listModels, showModel, verifyModel } from '../../src/inference/model/models.ts'
import { verifyApart } from '../../src/inference/model/verify-apart.ts'
import { SUM_GRAPH, SUM_MANIFEST, writeModelFolder } from '../support/model-folder.ts'
import { type Constant, constantBytes, type Graph } from '../support/onnx-model.ts'
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

describe('folders of links, as the caches of model hubs, DVC and git-annex make them', () => {
  it('are listed and load, with weights in a file of their own too', async () => {
    const factor: Constant = { dtype: 'float32', shape: [1], data: [2], file: 'model.onnx.data' }
    const network: Graph = {
      ...SUM_GRAPH,
      constants: { ...SUM_GRAPH.constants, factor },
      nodes: [
        ...SUM_GRAPH.nodes.slice(0, -1),
        { op: 'Mul', inputs: ['sums', 'factor'], outputs: ['scaled'] },
        { op: 'Slice', inputs: ['scaled', 'zero', 'three', 'one'], outputs: ['direction'] },
      ],
    }
    const blobs = await writeModelFolder({ network, manifest: SUM_MANIFEST })
    await writeFile(join(blobs, 'model.onnx.data'), constantBytes(factor))
    const root = await writeModelFolder({})
    const linked = join(root, 'snapshot')
    await mkdir(linked)
    for (const name of ['model.onnx', 'model.onnx.data', 'model.json']) {
      await rename(join(blobs, name), join(blobs, `blob-${name}`))
      await symlink(join(blobs, `blob-${name}`), join(linked, name))
    }
    await symlink(linked, join(root, 'link'))
    const listed = await listModels([root])
    expect(listed.slice(1).map(({ spec, problem }) => [spec, problem])).toEqual([
      [join(root, 'link'), undefined],
      [linked, undefined],
    ])
    for (const spec of [linked, join(root, 'link')])
      expect(await verifyModel(spec)).toMatchObject({ problem: undefined, isSound: true })
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

/** SUM_GRAPH with a loop that never ends before the answer. */
const ENDLESS: Graph = {
  ...SUM_GRAPH,
  nodes: [
    ...SUM_GRAPH.nodes.slice(0, -1),
    { op: 'Cast', inputs: ['one'], outputs: ['trues'], attributes: { to: 9 } },
    { op: 'Squeeze', inputs: ['trues'], outputs: ['true'] },
    {
      op: 'Loop',
      inputs: ['', 'true', 'sums'],
      outputs: ['looped'],
      attributes: {
        body: {
          inputs: [
            { name: 'i', dtype: 'int64', shape: [] },
            { name: 'goes on', dtype: 'bool', shape: [] },
            { name: 'before', dtype: 'float32', shape: ['events', 6] },
          ],
          outputs: [
            { name: 'goes on again', dtype: 'bool', shape: [] },
            { name: 'after', dtype: 'float32', shape: ['events', 6] },
          ],
          nodes: [
            { op: 'Identity', inputs: ['goes on'], outputs: ['goes on again'] },
            { op: 'Identity', inputs: ['before'], outputs: ['after'] },
          ],
        },
      },
    },
    { op: 'Slice', inputs: ['looped', 'zero', 'three', 'one'], outputs: ['direction'] },
  ],
}

describe('verifyApart()', () => {
  it('reports a sound model as verifyModel() does', async () => {
    const folder = await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST })
    const { loadMs: _apart, ...apart } = await verifyApart(folder)
    const { loadMs: _here, ...here } = await verifyModel(folder)
    expect(apart).toEqual(here)
  })

  it('ends when the time is up where the network has a loop that does not end', async () => {
    const folder = await writeModelFolder({ network: ENDLESS, manifest: SUM_MANIFEST })
    const report = await verifyApart(folder, { withinMs: 4_000 })
    expect(report).toMatchObject({ isSound: false, problem: { code: 'model_unreadable' } })
    expect(report.problem?.message).toBe(
      `${folder} gave no answer within 4 s: its network may have a loop that does not end, or it needs more time on this machine (--verify-ms)`,
    )
  })

  it('ends at once when the request is cancelled', async () => {
    const folder = await writeModelFolder({ network: ENDLESS, manifest: SUM_MANIFEST })
    const abort = new AbortController()
    const verifying = verifyApart(folder, { signal: abort.signal })
    abort.abort(new Error('no longer wanted'))
    await expect(verifying).rejects.toThrow('no longer wanted')
  })
})
