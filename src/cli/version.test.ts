import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { nodeProblem } from './version.ts'

it('an old Node is named, with the one that is needed', () => {
  expect(nodeProblem('20.20.2')).toBe('Node 20.20.2 is too old; nustream needs Node 24 or later')
  expect(nodeProblem('24.0.0')).toBeUndefined()
  expect(nodeProblem('100.1.0')).toBeUndefined()
})

it('the Node that is needed is the one that package.json asks for', () => {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } }
  expect(nodeProblem('1.0.0')).toContain(`Node ${engines.node.replace(/\D/g, '')} or later`)
})
