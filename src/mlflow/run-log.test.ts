import { expect, it } from 'vitest'
import { PointBuffer } from './run-log.ts'

const points = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ key: 'k', value: from + i, timestamp: 0, step: 0 }))
const values = (buffer: PointBuffer) => buffer.oldest(100).points.map(({ value }) => value)

it('keeps the newest points where there are too many, and counts the others', () => {
  const buffer = new PointBuffer(5)
  expect(buffer.add(points(1, 4))).toBe(0)
  expect(buffer.add(points(5, 8))).toBe(3)
  expect(values(buffer)).toEqual([4, 5, 6, 7, 8])
})

it('what was sent leaves, and nothing that came meanwhile', () => {
  const buffer = new PointBuffer(5)
  buffer.add(points(1, 4))
  const sent = buffer.oldest(3)
  buffer.add(points(5, 6)) // drops 1, which is being sent
  expect(sent.remove()).toBe(2)
  expect(values(buffer)).toEqual([4, 5, 6])
  expect(sent.remove()).toBe(0)
  expect(values(buffer)).toEqual([4, 5, 6])
})
