import { useSyncExternalStore } from 'react'

/** A value with subscribers. */
export class Store<T> {
  #value: T
  readonly #listeners = new Set<() => void>()

  constructor(value: T) {
    this.#value = value
  }

  readonly get = (): T => this.#value

  set(value: T): void {
    if (Object.is(value, this.#value)) return
    this.#value = value
    for (const listener of this.#listeners) listener()
  }

  /** Returns the function that unsubscribes. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** Part of a store's value; the component renders again only when this part changes. */
export function useStore<T, Part>(store: Store<T>, choose: (value: T) => Part): Part {
  return useSyncExternalStore(store.subscribe, () => choose(store.get()))
}
