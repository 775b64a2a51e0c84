import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { EVENT_ERROR_CODES, UNAVAILABLE_CODES, USAGE_CODES } from '../src/errors.ts'

const page = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8')

it.each([
  { heading: 'Bad events', codes: EVENT_ERROR_CODES },
  { heading: 'Transient failures', codes: UNAVAILABLE_CODES },
  { heading: 'Wrong settings', codes: USAGE_CODES },
])('docs/errors.md lists every code under "$heading", and no other', ({ heading, codes }) => {
  const section = page.split(/^## /m).find((text) => text.startsWith(heading)) ?? ''
  const listed = [...section.matchAll(/^\| `(\w+)` \| [^|]+ \| [^|]+ \|$/gm)].map(([, code]) => code)
  expect(listed).toEqual([...codes])
})
