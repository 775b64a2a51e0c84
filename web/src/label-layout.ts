/** A rectangle of the picture, CSS pixels from its upper left corner. */
export interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** The size of a label and the position that it belongs to. */
export interface Word {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  /** Prefers the left side of its position. */
  readonly isLeftwards: boolean
}

export interface Room {
  readonly width: number
  readonly height: number
  /** Boxes of other text. */
  readonly taken: readonly Box[]
}

const GAP_PX = 14
const EDGE_PX = 4
/** Offsets in heights of the label, tried in this order: beside its position first, then up and down. */
const SHIFTS = [0, 1, -1, 2, -2, 3, -3]

/**
 * Boxes of labels beside their positions, in the order of the labels. No box overlaps another or an obstacle if there is
 * room within three lines of its position. A label without room stays beside its position.
 */
export function layOut(words: readonly Word[], { width, height, taken }: Room): Box[] {
  const boxes: Box[] = []
  const isFree = (box: Box) => {
    const isInside =
      box.left >= EDGE_PX &&
      box.left + box.width <= width - EDGE_PX &&
      box.top >= EDGE_PX &&
      box.top + box.height <= height - EDGE_PX
    return isInside && ![...taken, ...boxes].some((other) => areOverlapping(box, other))
  }
  for (const word of words) {
    const sides = [word.isLeftwards, !word.isLeftwards]
    const candidates = SHIFTS.flatMap((shift) => sides.map((isLeft) => boxOf(word, isLeft, shift)))
    boxes.push(candidates.find(isFree) ?? candidates[0])
  }
  return boxes
}

function boxOf({ x, y, width, height }: Word, isLeft: boolean, shift: number): Box {
  const left = isLeft ? x - GAP_PX - width : x + GAP_PX
  return { left, top: y - height / 2 + shift * height, width, height }
}

function areOverlapping(a: Box, b: Box): boolean {
  const isApart =
    a.left + a.width <= b.left ||
    b.left + b.width <= a.left ||
    a.top + a.height <= b.top ||
    b.top + b.height <= a.top
  return !isApart
}
