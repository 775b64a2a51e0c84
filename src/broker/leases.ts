/** What this broker instance holds on loan: who borrowed it, in the order of borrowing. */
export class Loans {
  readonly #consumers = new Map<string, string>()

  add(deliveryId: string, consumer: string): void {
    this.#consumers.set(deliveryId, consumer)
  }

  remove(deliveryId: string): void {
    this.#consumers.delete(deliveryId)
  }

  countOf(consumer: string): number {
    let count = 0
    for (const borrower of this.#consumers.values()) if (borrower === consumer) count++
    return count
  }

  has(deliveryId: string): boolean {
    return this.#consumers.has(deliveryId)
  }

  ids(): string[] {
    return [...this.#consumers.keys()]
  }
}
