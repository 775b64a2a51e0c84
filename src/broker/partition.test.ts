import { expect, it } from 'vitest'
import { partitionOf } from './partition.ts'

it('partitionOf() follows the sequence, else the batch id, and stays within range', () => {
  expect([1, 2, 3, 4].map((sequence) => partitionOf('b', sequence, 3))).toEqual([1, 2, 0, 1])
  const byId = Array.from({ length: 300 }, (_, i) => partitionOf(`batch ${i}`, undefined, 3))
  expect(byId).toEqual(Array.from({ length: 300 }, (_, i) => partitionOf(`batch ${i}`, undefined, 3)))
  for (const partition of [0, 1, 2]) expect(byId.filter((p) => p === partition).length).toBeGreaterThan(50)
  expect(partitionOf('', undefined, 1)).toBe(0)
})
