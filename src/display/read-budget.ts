/** So many a second, and after a quiet while up to `burst` at once. */
export class ReadBudget {
  readonly #perSecond: number
  readonly #burst: number
  #left: number
  #atMs: number | undefined

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#left = burst
  }

  /** True where one more is within the budget, which it then takes. */
  take(nowMs: number): boolean {
    const gained = ((nowMs - (this.#atMs ?? nowMs)) / 1000) * this.#perSecond
    this.#left = Math.min(this.#burst, this.#left + gained)
    this.#atMs = nowMs
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}
