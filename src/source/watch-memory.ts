import { z } from 'zod'
import type { FilePlace } from './event-assembler.ts'
import { fromStoredPlace, readResume, storedPlace, toStoredPlace } from './resume.ts'

/** Finished files remembered although they are no longer in the folder: they may come back with their disk. */
const ABSENT_MAX = 10_000

const schema = z.strictObject({
  done: z.array(z.string()),
  begun: z.record(z.string(), storedPlace),
})

/** Which files of a watched folder are finished and how far others are read, by fingerprint. */
export class WatchMemory {
  readonly #done: Set<string>
  readonly #begun: Map<string, FilePlace>

  constructor(resume: string | undefined, spec: string) {
    const stored = resume === undefined ? { done: [], begun: {} } : readResume(schema, resume, spec)
    this.#done = new Set(stored.done)
    this.#begun = new Map(
      Object.entries(stored.begun).map(([print, place]) => [print, fromStoredPlace(place)]),
    )
  }

  isDone(print: string): boolean {
    return this.#done.has(print)
  }

  place(print: string): FilePlace | undefined {
    return this.#begun.get(print)
  }

  /** The file is read up to `next`, or to its end. */
  note(print: string, next: FilePlace | undefined): void {
    if (next) this.#begun.set(print, next)
    else {
      this.#begun.delete(print)
      this.#done.add(print)
    }
  }

  /** Forgets the oldest files that are in the folder no more, where they are too many. */
  prune(present: ReadonlySet<string>): void {
    let absent = [...this.#done].filter((print) => !present.has(print)).length
    for (const print of this.#done) {
      if (absent <= ABSENT_MAX) break
      if (present.has(print)) continue
      this.#done.delete(print)
      absent--
    }
  }

  toResume(): string {
    const begun = Object.fromEntries([...this.#begun].map(([print, place]) => [print, toStoredPlace(place)]))
    return JSON.stringify({ done: [...this.#done], begun } satisfies z.infer<typeof schema>)
  }
}
