import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { SUM_MANIFEST, writeModelFolder } from '../../../test/support/model-folder.ts'
import { BUNDLED_MODELS, readManifest, resolveModelFolder } from './folder.ts'

const home = process.cwd()
let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nustream-bundled-'))
  process.chdir(folder)
})

afterEach(async () => {
  process.chdir(home)
  await rm(folder, { recursive: true })
})

test('a model that comes with nustream is found from anywhere', () => {
  for (const name of BUNDLED_MODELS)
    expect(existsSync(join(resolveModelFolder(name), 'model.json')), name).toBe(true)
})

test('a folder of that name goes first', async () => {
  await mkdir('nano')
  expect(resolveModelFolder('nano')).toBe(resolve('nano'))
})

test('any other name is a path', () => {
  expect(resolveModelFolder('mine')).toBe(resolve('mine'))
  expect(resolveModelFolder('models/nano')).toBe(resolve('models/nano'))
})

type Path = readonly (string | number)[]

/** One field of SUM_MANIFEST set to another value, or removed. */
interface Edit {
  readonly at: Path
  readonly to?: unknown
}

const x = { column: 'x', unit: 'm' }
const firstFeature: Path = ['inputs', 0, 'features', 0]

const histogram = { edges: [0, 1, 2], shares: [0.5, 0.5] }
const REFERENCE = { data: 'a test', events: 10, pulses: histogram, charge: histogram, auxiliary: histogram }

const broken: { name: string; edits: Edit[]; says: RegExp }[] = [
  {
    name: 'an unknown key',
    edits: [{ at: ['pulsesMax'], to: 128 }],
    says: /model\.json.*\n.*the file has the unknown key "pulsesMax": remove it/,
  },
  {
    name: 'an unknown key in a feature',
    edits: [{ at: [...firstFeature, 'mean'], to: 3 }],
    says: /inputs\[0\]\.features\[0\] has the unknown key "mean"/,
  },
  {
    name: 'another unit',
    edits: [{ at: ['inputs', 0, 'features', 3, 'unit'], to: 'us' }],
    says: /inputs\[0\]\.features\[3\]\.unit is "us": must be "ns"/,
  },
  {
    name: 'a column that is not on the menu',
    edits: [{ at: [...firstFeature, 'column'], to: 'energy' }],
    says: /inputs\[0\]\.features\[0\]\.column is "energy": .*"x"/,
  },
  {
    name: 'a missing field',
    edits: [{ at: ['output', 'points'] }],
    says: /output\.points is missing: .*"source"/,
  },
  {
    name: 'a mask that does not say what true means',
    edits: [{ at: ['inputs', 1, 'trueMeans'] }],
    says: /inputs\[1\]\.trueMeans is missing/,
  },
  {
    name: 'a reference histogram with a share too many',
    edits: [
      { at: ['reference'], to: { ...REFERENCE, charge: { edges: [0, 1, 2], shares: [0.5, 0.25, 0.25] } } },
    ],
    says: /reference\.charge\.shares is .*: has 3 values: 3 edges make 2 bins/,
  },
  {
    name: 'a reference histogram whose edges do not ascend',
    edits: [{ at: ['reference'], to: { ...REFERENCE, pulses: { edges: [0, 2, 2], shares: [0.5, 0.5] } } }],
    says: /reference\.pulses\.edges is \[0,2,2\]: must ascend/,
  },
  {
    name: 'a reference histogram that leaves events out',
    edits: [
      { at: ['reference'], to: { ...REFERENCE, auxiliary: { edges: [0, 0.5, 1], shares: [0.5, 0.4] } } },
    ],
    says: /reference\.auxiliary\.shares is .*: sum to 0\.9: shares of all events sum to 1/,
  },
  {
    name: 'a reference without one of its histograms',
    edits: [{ at: ['reference'], to: { ...REFERENCE, charge: undefined } }],
    says: /reference\.charge is missing/,
  },
  {
    name: 'axes that repeat one',
    edits: [{ at: ['output', 'axes'], to: ['x', 'x', 'z'] }],
    says: /output\.axes is \["x","x","z"\]: must name x, y and z once each/,
  },
  {
    name: 'a scale of 0',
    edits: [{ at: [...firstFeature, 'scale'], to: 0 }],
    says: /scale is 0: must not be 0/,
  },
  {
    name: 'a logarithm of what can be negative',
    edits: [{ at: [...firstFeature, 'transform'], to: 'log10' }],
    says: /transform is "log10": takes values above 0, x can be 0 or less/,
  },
  {
    name: 'log1p of what can be below -1',
    edits: [{ at: firstFeature, to: { column: 'timeSinceFirstHlc', unit: 'ns', transform: 'log1p' } }],
    says: /transform is "log1p": takes values above -1, timeSinceFirstHlc can be less/,
  },
  {
    name: 'ice without its lookup',
    edits: [{ at: firstFeature, to: { column: 'scatteringLength', unit: 'm' } }],
    says: /features\[0\]\.lookup is missing: must be "physical" or "icemix"/,
  },
  {
    name: 'a fixed length below the cap',
    edits: [
      { at: ['paddedLength'], to: { fixed: 64 } },
      { at: ['pulses', 'max'], to: 128 },
    ],
    says: /pulses\.max is 128: must be at most paddedLength\.fixed \(64\)/,
  },
  {
    name: 'padding that the network cannot see',
    edits: [
      { at: ['inputs'], to: SUM_MANIFEST.inputs.slice(0, 1) },
      { at: ['paddedLength'], to: { multipleOf: 8 } },
    ],
    says: /paddedLength is .*: pads events, but no input of layout "mask" or "lengths"/,
  },
  {
    name: 'an input twice',
    edits: [{ at: ['inputs', 1, 'name'], to: 'pulses' }],
    says: /inputs\[1\]\.name is "pulses": names an input that is listed already/,
  },
  {
    name: 'a pulse column in a tensor of events',
    edits: [{ at: ['inputs', 2], to: { name: 'n', layout: 'event', dtype: 'float32', features: [x] } }],
    says: /inputs\[2\]\.features\[0\]\.column is "x": is a value per pulse/,
  },
  {
    name: 'another format version',
    edits: [{ at: ['formatVersion'], to: 2 }],
    says: /formatVersion is 2: /,
  },
  {
    name: 'an invalid digest',
    edits: [{ at: ['training', 'dataDigest'], to: 'md5:1234' }],
    says: /training\.dataDigest is "md5:1234": must be "sha256:" and 64/,
  },
]

function edited(edits: readonly Edit[]): unknown {
  const manifest = structuredClone(SUM_MANIFEST)
  for (const { at, to } of edits) {
    const parent = at.slice(0, -1).reduce((value: object, key) => Reflect.get(value, key), manifest)
    const key = at[at.length - 1]
    if (to === undefined) Reflect.deleteProperty(parent, key)
    else Reflect.set(parent, key, to)
  }
  return manifest
}

describe('readManifest()', () => {
  it('fills in the defaults', async () => {
    const manifest = await readManifest(await writeModelFolder({ manifest: SUM_MANIFEST }))
    expect(manifest.limits).toEqual({ pulsesPerEvent: 4096, tokensPerRun: 1024, eventsPerRun: 64 })
    expect(manifest.paddedLength).toEqual({ multipleOf: 1, min: 1 })
    expect(manifest.inputs[0]).toMatchObject({ padding: 0 })
  })

  it.each(broken)('names $name', async ({ edits, says }) => {
    const folder = await writeModelFolder({ manifest: edited(edits) })
    await expect(readManifest(folder)).rejects.toMatchObject({
      code: 'model_manifest_invalid',
      disposition: 'stop',
      message: expect.stringMatching(says),
    })
  })

  it('lists every missing field on one line', async () => {
    const folder = await writeModelFolder({ manifest: { name: 'm', version: 1 } })
    await expect(readManifest(folder)).rejects.toMatchObject({
      message: [
        `${folder}/model.json is not valid, see docs/models.md:`,
        '  missing: formatVersion, description, licence, origin, training, pulses, inputs, output, parity. A template: docs/models.md',
        '  version is 1: must be text',
      ].join('\n'),
    })
  })

  it.each([
    { at: ['formatVersion'], to: 2, says: 'formatVersion is 2: must be 1' },
    { at: ['version'], to: '', says: 'version is "": must not be empty' },
    { at: ['inputs', 0, 'features'], to: [], says: 'inputs[0].features is []: must not be empty' },
    { at: ['inputs', 1], to: null, says: 'inputs[1] is null: must be an object' },
    { at: ['pulses', 'max'], to: 1.5, says: 'pulses.max is 1.5: must be a whole number' },
    { at: ['pulses', 'hlcMin'], to: 0, says: 'pulses.hlcMin is 0: must be at least 1' },
    {
      at: ['limits'],
      to: { eventsPerRun: 1e6 },
      says: 'limits.eventsPerRun is 1000000: must be at most 4096',
    },
    { at: ['output', 'axes'], to: ['x'], says: 'output.axes is ["x"]: must have at least 3 entries' },
    { at: ['output', 'points'], to: 'up', says: 'output.points is "up": must be "source" or "travel"' },
    {
      at: ['output', 'meaning'],
      to: 'energy',
      says: 'output.meaning is "energy": must be "vector", "vector-kappa" or "azimuth-zenith"',
    },
    {
      at: ['paddedLength'],
      to: 5,
      says: 'paddedLength is 5: must be {"multipleOf": m, "min": k} or {"fixed": n}',
    },
    {
      at: ['parity'],
      to: 'none',
      says: 'parity is "none": must be "parity.json", or null for a model without a fixture',
    },
  ])('says in plain words: $says', async ({ at, to, says }) => {
    const folder = await writeModelFolder({ manifest: edited([{ at, to }]) })
    const message = await readManifest(folder).then(String, (error: Error) => error.message)
    expect(message).toBe(`${folder}/model.json is not valid, see docs/models.md:\n  ${says}`)
  })

  it('names a file that is not JSON', async () => {
    const folder = await writeModelFolder({ manifest: '{"formatVersion": 1,' })
    await expect(readManifest(folder)).rejects.toMatchObject({
      code: 'model_manifest_invalid',
      message: expect.stringMatching(/model\.json is not JSON/),
    })
  })

  it('names a folder without a manifest', async () => {
    await expect(readManifest('/no/such/model')).rejects.toMatchObject({
      code: 'model_missing',
      message: expect.stringMatching(/^\/no\/such\/model\/model\.json cannot be read/),
    })
  })
})
