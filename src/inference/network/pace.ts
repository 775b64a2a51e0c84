export interface PaceOptions {
  /** Longest wait of a request for its answer, ms; Infinity where there is none. */
  readonly deadlineMs: number
  /** Events in hand that keep all workers busy. */
  readonly roomMin: number
  /** Events in hand beyond which more would not fill runs better. */
  readonly roomMax: number
}

/** A window of requests that the workers have finished. Times in ms of one clock. */
export interface Finished {
  /** Events that were answered; fewer than were begun where callers went away. */
  readonly events: number
  /** `room` when the window was begun. */
  readonly room: number
  readonly startedMs: number
  readonly endedMs: number
  /** Whether other events were waiting at the end. */
  readonly isBusy: boolean
}

/** The workers' events in hand take at most this share of the deadline. */
const IN_HAND_OF_DEADLINE = 1 / 8

/**
 * How many events the workers may have in hand, and how many they answer a second. A slow model gets few at once:
 * events in hand end at about the same time, so that with too many of them in hand under overload all would end after
 * the deadline, where with few the first ones end before it.
 */
export class Pace {
  readonly #options: PaceOptions
  #room: number
  #eventsPerSecond = 0
  #endedMs = Number.NEGATIVE_INFINITY

  constructor(options: PaceOptions) {
    this.#options = options
    this.#room = options.deadlineMs < Number.POSITIVE_INFINITY ? options.roomMin : options.roomMax
  }

  /** Events that the workers may have in hand now. */
  get room(): number {
    return this.#room
  }

  /** Seconds that the workers take for so many events; 0 while their pace is not known. */
  secondsFor(events: number): number {
    return this.#eventsPerSecond > 0 ? events / this.#eventsPerSecond : 0
  }

  learn({ events, room, startedMs, endedMs, isBusy }: Finished): void {
    const { deadlineMs, roomMin, roomMax } = this.#options
    const fits = (IN_HAND_OF_DEADLINE * deadlineMs) / Math.max(endedMs - startedMs, 1e-3)
    if (fits < 1) this.#room = Math.max(roomMin, Math.min(this.#room, Math.floor(room * fits)))
    // A room smaller than what ends in time would only split the runs of a fast model, so it grows also while nothing waits.
    else if (events > 0)
      this.#room = Math.max(this.#room, Math.min(roomMax, 2 * this.#room, Math.floor(fits * events)))
    // Windows end one after the other, so that while more waits the time between two ends is what one takes.
    if (isBusy && events > 0) {
      const ms = Math.max(endedMs - Math.max(startedMs, this.#endedMs), 1e-3)
      const rate = (1000 * events) / ms
      this.#eventsPerSecond = this.#eventsPerSecond === 0 ? rate : 0.9 * this.#eventsPerSecond + 0.1 * rate
    }
    this.#endedMs = endedMs
  }
}
