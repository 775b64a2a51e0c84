import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { environmentName, hideSecrets, resolveConfig, switchFlag } from './command.ts'
import { emitSettings } from './settings.ts'

const shape = {
  backlogMax: z.coerce.number().int().min(1).default(20).meta({ value: 'events' }),
  model: z.array(z.string()).default(['linefit']).meta({ value: 'model', repeat: true }),
  loop: switchFlag('start over'),
}

function configFile(content: unknown): string {
  const path = join(mkdtempSync(join(tmpdir(), 'nustream-config-')), 'settings.json')
  writeFileSync(path, JSON.stringify(content))
  return path
}

describe('resolveConfig()', () => {
  it('prefers the command line to the environment, that to the file, that to the default', () => {
    const file = { config: configFile({ backlogMax: 2 }) }
    const environment = { NUSTREAM_BACKLOG_MAX: '3' }
    expect(resolveConfig(shape, {}, {}).backlogMax).toBe(20)
    expect(resolveConfig(shape, file, {}).backlogMax).toBe(2)
    expect(resolveConfig(shape, file, environment).backlogMax).toBe(3)
    expect(resolveConfig(shape, { ...file, backlogMax: '4' }, environment).backlogMax).toBe(4)
  })

  it.each([
    { text: 'false', value: false },
    { text: 'true', value: true },
    { text: '0', value: false },
  ])('reads the switch $text from the environment as $value', ({ text, value }) => {
    expect(resolveConfig(shape, {}, { NUSTREAM_LOOP: text }).loop).toBe(value)
  })

  it('splits a list in the environment at commas', () => {
    expect(resolveConfig(shape, {}, { NUSTREAM_MODEL: 'a,b' }).model).toEqual(['a', 'b'])
  })

  it.each([
    { name: 'a value out of range', flags: { backlogMax: '0' }, says: /--backlog-max .*"0"/ },
    { name: 'a word for a number', flags: { backlogMax: 'many' }, says: /--backlog-max .*"many"/ },
    {
      name: 'an unknown key in the file',
      flags: { config: configFile({ backlog: 1 }) },
      says: /unknown setting "backlog"/,
    },
    { name: 'a file that is missing', flags: { config: '/nowhere.json' }, says: /\/nowhere\.json/ },
    { name: 'a file that holds a list', flags: { config: configFile([1]) }, says: /expected a JSON object/ },
  ])('names $name', ({ flags, says }) => {
    expect(() => resolveConfig(shape, flags, {})).toThrow(says)
  })

  it('names a required setting that is not given, as a flag and as a variable', () => {
    const required = { ...shape, out: z.string().meta({ value: 'folder' }) }
    expect(() => resolveConfig(required, {}, {})).toThrow(
      /^--out FOLDER is required \(or set NUSTREAM_OUT\)$/,
    )
  })
})

describe('settings', () => {
  it.each([
    { rate: 'max', value: 'max' },
    { rate: '2500', value: 2500 },
  ])('take --rate $rate', ({ rate, value }) => {
    expect(resolveConfig(emitSettings, { rate }, {}).rate).toBe(value)
  })

  it.each(['0', '-1', 'fast', 'Infinity'])('refuse --rate %s', (rate) => {
    expect(() => resolveConfig(emitSettings, { rate }, {})).toThrow(/--rate/)
  })
})

describe('hideSecrets()', () => {
  const passwords = ['secret', 'se/cret', 'p@ss', 'a:b@c/d', '12/cret', '@', '%2F%', 'x y']

  it.each(passwords)('hides the password %j of a URL', (password) => {
    const shown = JSON.stringify(
      hideSecrets(
        {},
        {
          broker: `rediss://user:${password}@redis.example:6379/0`,
          mlflow: `https://:${password}@mlflow.example`,
          model: ['nano', `http://user:${password}@model.example`],
        },
      ),
    )
    expect(shown).toBe(
      JSON.stringify({
        broker: 'rediss://user:***@redis.example:6379/0',
        mlflow: 'https://:***@mlflow.example',
        model: ['nano', 'http://user:***@model.example'],
      }),
    )
  })

  it('leaves settings without a password as they are', () => {
    const config = {
      broker: 'redis://user@redis.example:6379',
      model: 'models:/direction@champion',
      source: 'parquet:/data/a@b.parquet',
      batch: 256,
      loop: false,
    }
    expect(hideSecrets({}, config)).toEqual(config)
  })

  it('says only that a secret setting is set', () => {
    const secret = { token: z.string().optional().meta({ secret: true }) }
    expect(hideSecrets(secret, { token: 'owl' })).toEqual({ token: '(set)' })
  })
})

it('environmentName() spells a setting as in a shell', () => {
  expect(environmentName('backlogMax')).toBe('NUSTREAM_BACKLOG_MAX')
})
