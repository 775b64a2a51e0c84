import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { SUM_GRAPH, SUM_MANIFEST, writeModelFolder } from '../support/model-folder.ts'
import { NO_PYTHON, openPython, runPython } from '../support/python.ts'
import { startServer } from '../support/start-server.ts'

const script = fileURLToPath(new URL('./ask_triton.py', import.meta.url))

it("Triton's own client gets every output as JSON and as bytes, one, some and all of them", async (test) => {
  const python = await openPython()
  if (python === undefined) return test.skip(NO_PYTHON)
  const outputs = [
    ...SUM_GRAPH.outputs,
    { name: 'sums', dtype: 'float32', shape: ['events', 6] },
    { name: 'isPulse', dtype: 'bool', shape: ['events', 'pulses'] },
  ] as const
  const folder = await writeModelFolder({ network: { ...SUM_GRAPH, outputs }, manifest: SUM_MANIFEST })
  await using model = await openLocalModel(folder, { threads: 1 })
  const server = await startServer(test, { model, tokens: ['secret'] })
  const answer = await runPython(python, [script, `127.0.0.1:${server.port}`, 'sum', '1', 'secret'])
  const { metadata, index, errors } = JSON.parse(answer.toString())
  expect(metadata).toMatchObject({
    name: 'sum',
    versions: ['1'],
    inputs: [
      { name: 'pulses', datatype: 'FP32', shape: [-1, -1, 6] },
      { name: 'padding', datatype: 'BOOL', shape: [-1, -1] },
    ],
  })
  expect(index).toEqual([{ name: 'sum', version: '1', state: 'READY', reason: '' }])
  expect(errors).toEqual({
    missing: ['400', expect.stringContaining("input 'padding' is missing")],
    unknown: ['404', expect.stringContaining("there is no model 'other' here, only 'sum'")],
    token: ['401', expect.stringContaining('no token was sent')],
  })
  await server.close()
})
