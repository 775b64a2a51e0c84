import { expect, it } from 'vitest'
import { LOG_FIELD_MAX } from './foreign-text.ts'
import { createLog, createRepeatLimit } from './log.ts'

function capture(): { lines: () => Record<string, unknown>[]; write(line: string): void } {
  const written: string[] = []
  return { write: (line) => written.push(line), lines: () => written.map((line) => JSON.parse(line)) }
}

it('createLog() writes one JSON object per line with role, instance and level by name', () => {
  const out = capture()
  createLog({ role: 'consume', instance: 'C1', destination: out }).info({ batches: 3 }, 'started')
  expect(out.lines()).toMatchObject([
    { level: 'info', role: 'consume', instance: 'C1', batches: 3, msg: 'started' },
  ])
})

it('createLog() says nothing below its level', () => {
  const out = capture()
  createLog({ role: 'emit', instance: 'e', level: 'warn', destination: out }).info('started')
  expect(out.lines()).toEqual([])
})

it.each([
  { name: 'a field', fields: { token: 'hush-1' } },
  { name: 'a field one level down', fields: { model: { authorization: 'hush-1' } } },
  { name: 'the password of a URL', fields: { url: 'redis://user:hush-1@cube1:6379/0' } },
  { name: 'a bearer token in text', fields: { header: 'Bearer hush-1' } },
  { name: 'a query string', fields: { url: 'https://cube2/infer?token=hush-1&x=2' } },
  { name: 'an error', fields: { err: new Error('cannot reach rediss://:hush-1@cube1') } },
  { name: 'a password with a slash', fields: { url: 'redis://user:hush-1/cret@cube1' } },
  { name: 'a password with an @', fields: { url: 'redis://user:p@hush-1@cube1' } },
  { name: 'a password with a colon', fields: { url: 'redis://user:p:hush-1@cube1' } },
  { name: 'a password with a quote', fields: { url: 'redis://user:p"hush-1@cube1' } },
])('createLog() keeps secrets in $name to itself', ({ fields }) => {
  const out = capture()
  createLog({ role: 'emit', instance: 'e', destination: out }).warn(fields, 'connected')
  expect(JSON.stringify(out.lines())).toContain('***')
  expect(JSON.stringify(out.lines())).not.toContain('hush-1')
})

it('createLog() cuts a foreign text to 256 characters, wherever in a line it stands', () => {
  const out = capture()
  const long = 'x'.repeat(200_000)
  const cause = new Error(long)
  const log = createLog({ role: 'consume', instance: 'C1', destination: out })
  log.warn({ batch: long, list: [{ id: long }], err: cause }, long)
  const [line] = out.lines()
  const cut = `${'x'.repeat(LOG_FIELD_MAX)}… (200000 characters)`
  expect(line).toMatchObject({
    batch: cut,
    list: [{ id: cut }],
    msg: cut,
    err: { type: 'Error', message: cut },
  })
  expect(JSON.stringify(line).length).toBeLessThan(12_000)
})

it('createLog() keeps a text of 256 characters whole, and no half of a surrogate pair', () => {
  const out = capture()
  const whole = 'x'.repeat(LOG_FIELD_MAX)
  const pair = `${'x'.repeat(LOG_FIELD_MAX - 1)}\u{1F52D}`
  createLog({ role: 'emit', instance: 'e', destination: out }).info({ whole, pair }, 'started')
  expect(out.lines()).toMatchObject([{ whole, pair: `${'x'.repeat(LOG_FIELD_MAX - 1)}… (257 characters)` }])
})

it('createLog() bounds how many elements, fields and levels of a value it writes', () => {
  const out = capture()
  const deep = { a: { b: { c: { d: { e: 1 } } } } }
  const fields = { list: Array.from({ length: 5_000 }, (_, i) => i), deep }
  createLog({ role: 'emit', instance: 'e', destination: out }).info(fields, 'started')
  const [line] = out.lines()
  expect(line['list']).toHaveLength(100)
  expect(line['deep']).toEqual({ a: { b: { c: '[Object]' } } })
})

it('createRepeatLimit() writes the first, counts the rest, and says how many at the next line', () => {
  let now = 0
  const lines: string[] = []
  const limit = createRepeatLimit(10_000, () => now)
  const fail = (key: string) => limit(key, (repeats) => lines.push(`${key} ${repeats}`))
  fail('a')
  fail('a')
  fail('b')
  now = 9_999
  fail('a')
  now = 10_000
  fail('a')
  fail('b')
  expect(lines).toEqual(['a 0', 'b 0', 'a 2', 'b 0'])
})
