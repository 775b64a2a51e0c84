/** So many a second, and as many at once after a quiet second. */
export class ReadBudget {
  readonly #perSecond: number
  #left: number
  #atMs: number | undefined

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#left = perSecond
  }

  /** True where one more is within the budget, which it then takes. */
  take(nowMs: number): boolean {
    const gained = ((nowMs - (this.#atMs ?? nowMs)) / 1000) * this.#perSecond
    this.#left = Math.min(this.#perSecond, this.#left + gained)
    this.#atMs = nowMs
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}
