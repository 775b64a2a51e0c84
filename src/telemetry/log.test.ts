import { expect, it } from 'vitest'
import { createLog } from './log.ts'

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
])('createLog() keeps secrets in $name to itself', ({ fields }) => {
  const out = capture()
  createLog({ role: 'emit', instance: 'e', destination: out }).warn(fields, 'connected')
  expect(JSON.stringify(out.lines())).toContain('***')
  expect(JSON.stringify(out.lines())).not.toContain('hush-1')
})
