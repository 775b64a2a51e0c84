import { addressOf, type RedisAddress } from './target.ts'

/** The nodes where the data may be: those of the URL, and those that a cluster has told of. Shared by all links. */
export class RedisNodes {
  readonly #known = new Map<string, RedisAddress>()

  constructor(addresses: readonly RedisAddress[]) {
    for (const address of addresses) this.learn(address)
  }

  learn({ host, port }: RedisAddress): void {
    this.#known.set(addressOf({ host, port }), { host, port })
  }

  /** Whom to ask when the node at `address` is of no use: the one after it, in a ring. */
  after(address: RedisAddress): RedisAddress {
    const all = [...this.#known.values()]
    const place = [...this.#known.keys()].indexOf(addressOf(address))
    return all[(place + 1) % all.length]
  }
}
