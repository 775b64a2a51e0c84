/** Numbers that arrive one after the other, in one typed array that doubles when it is full. */
export class Column {
  length = 0
  #values: Float64Array

  constructor(expected = 1024) {
    this.#values = new Float64Array(Math.max(16, expected))
  }

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Float64Array(2 * this.length)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.length++] = value
  }

  /** The numbers so far, as a view. */
  get values(): Float64Array {
    return this.#values.subarray(0, this.length)
  }
}
