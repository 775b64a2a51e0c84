import type { Logger } from 'pino'

/** Work that nobody waits for and that comes again: one at a time of each name, and its failure is a line, no error. */
export class Background {
  readonly #log: Logger | undefined
  readonly #running = new Map<string, Promise<void>>()

  constructor(log: Logger | undefined) {
    this.#log = log
  }

  /** Starts the work unless work of that name is under way. */
  start(name: string, work: () => Promise<void>): void {
    if (this.#running.has(name)) return
    const done = work()
      .catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error)
        this.#log?.debug({ name, reason }, 'broker upkeep put off')
      })
      .finally(() => this.#running.delete(name))
    this.#running.set(name, done)
  }

  /** Resolves when what is under way has ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running.values())
  }
}
