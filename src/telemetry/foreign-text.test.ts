import { expect, it } from 'vitest'
import { cutText, maskSecrets } from './foreign-text.ts'

it.each([
  ['redis://user:secret@cube1:6379/0', 'redis://user:***@cube1:6379/0'],
  ['redis://:secret@cube1', 'redis://:***@cube1'],
  ['redis://user:se/cr:e@t@cube1', 'redis://user:***@cube1'],
  ['to redis://a:b@c, http://d:e@f', 'to redis://a:***@c, http://d:***@f'],
  ['redis://user@cube1:6379', 'redis://user@cube1:6379'],
  ['http://cube2:8500/x and me@cube2', 'http://cube2:8500/x and me@cube2'],
  ['{"url":"redis://u:p@h","a":"b:c@d"}', '{"url":"redis://u:***@h","a":"b:c@d"}'],
  ['Authorization: Bearer abc.def', 'Authorization: Bearer ***'],
  ['GET /infer?token=abc&x=2', 'GET /infer?token=***&x=2'],
])('maskSecrets() makes of %s: %s', (text, masked) => {
  expect(maskSecrets(text)).toBe(masked)
})

it.each([
  ['one long word', 'a'],
  ['slashes', '://'],
  ['addresses without white space', 'a://b:c'],
  ['addresses without a password', 'a://b '],
  ['passwords', 'a://b:c@'],
  ['colons', ':'],
  ['at signs', '://@'],
  ['white space after bearer', 'bearer '],
  ['quotes behind backslashes', '://\\"'],
])('maskSecrets() takes little time for a megabyte of %s', (_, piece) => {
  const text = piece.repeat(Math.ceil(1_000_000 / piece.length))
  const startMs = performance.now()
  maskSecrets(text)
  expect(performance.now() - startMs).toBeLessThan(2_000)
})

it('cutText() says how long the whole text was', () => {
  expect(cutText('abcdef', 3)).toBe('abc… (6 characters)')
  expect(cutText('abc', 3)).toBe('abc')
})
