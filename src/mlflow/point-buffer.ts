import type { MetricPoint } from './runs.ts'

/** Points in the order they came, bounded: where there is no room the oldest go. */
export class PointBuffer {
  readonly limit: number
  #points: MetricPoint[] = []
  /** Points that have left the front, sent or dropped. */
  #left = 0

  constructor(limit: number) {
    this.limit = limit
  }

  get size(): number {
    return this.#points.length
  }

  /** Gives how many had to go for them. */
  add(points: readonly MetricPoint[]): number {
    this.#points.push(...points)
    return this.#drop(this.#points.length - this.limit)
  }

  /** The oldest points, and how to take them out once they are sent, whatever came or went meanwhile. */
  oldest(most: number): { readonly points: readonly MetricPoint[]; remove(): number } {
    const points = this.#points.slice(0, most)
    const until = this.#left + points.length
    return { points, remove: () => this.#drop(until - this.#left) }
  }

  #drop(count: number): number {
    if (count <= 0) return 0
    this.#points.splice(0, count)
    this.#left += count
    return count
  }
}
