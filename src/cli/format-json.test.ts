import { expect, it } from 'vitest'
import { formatJson } from './format-json.ts'

it('formatJson() keeps on one line what fits, and leaves out what is undefined', () => {
  const value = { short: [1, 2], none: undefined, long: [{ text: 'a'.repeat(60) }, { text: 'b'.repeat(60) }] }
  const text = formatJson(value)
  expect(text.split('\n')).toEqual([
    '{',
    '  "short": [1, 2],',
    '  "long": [',
    `    {"text": "${'a'.repeat(60)}"},`,
    `    {"text": "${'b'.repeat(60)}"}`,
    '  ]',
    '}',
  ])
  expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
})
