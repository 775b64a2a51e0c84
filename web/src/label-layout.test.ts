import { expect, it } from 'vitest'
import { layOut, type Word } from './label-layout.ts'

const ROOM = { width: 800, height: 400, taken: [] }

function word(changes: Partial<Word> = {}): Word {
  return { x: 400, y: 200, width: 80, height: 16, isLeftwards: false, ...changes }
}

it('layOut() puts a label beside its position, on its preferred side', () => {
  const [right, left] = [false, true].map((isLeftwards) => layOut([word({ isLeftwards })], ROOM)[0])
  expect(right).toEqual({ left: 414, top: 192, width: 80, height: 16 })
  expect(left).toEqual({ left: 306, top: 192, width: 80, height: 16 })
})

it('layOut() tries the other side of the position first, and then the next line', () => {
  const boxes = layOut([word(), word(), word()], ROOM)
  expect(boxes.map(({ left, top }) => [left, top])).toEqual([
    [414, 192],
    [306, 192],
    [414, 208],
  ])
})

it('layOut() avoids the edge of the picture and obstacles', () => {
  const [atEdge] = layOut([word({ x: 780 })], ROOM)
  expect(atEdge.left).toBe(686)
  const facts = { left: 0, top: 0, width: 300, height: 160 }
  const [besideFacts] = layOut([word({ x: 320, y: 100, isLeftwards: true })], { ...ROOM, taken: [facts] })
  expect(besideFacts).toMatchObject({ left: 334, top: 92 })
})

it('layOut() leaves a label without room beside its position', () => {
  const everything = { left: 0, top: 0, width: 800, height: 400 }
  expect(layOut([word()], { ...ROOM, taken: [everything] })[0]).toMatchObject({ left: 414, top: 192 })
})
