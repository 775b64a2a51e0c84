/** The leases that this broker instance holds: delivery id and consumer, in the order in which they were taken. */
export class Leases {
  readonly #consumers = new Map<string, string>()

  add(deliveryId: string, consumer: string): void {
    this.#consumers.set(deliveryId, consumer)
  }

  remove(deliveryId: string): void {
    this.#consumers.delete(deliveryId)
  }

  countOf(consumer: string): number {
    let count = 0
    for (const holder of this.#consumers.values()) if (holder === consumer) count++
    return count
  }

  ids(): string[] {
    return [...this.#consumers.keys()]
  }
}
