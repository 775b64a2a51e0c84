import type { EventErrorCode } from '../errors.ts'

/** A batch on its way into the broker. */
export interface BatchMessage {
  /** Stable: a repeat of the same batch carries the same id and is predicted once. */
  readonly batchId: string
  /** The events in wire form (docs/wire-format.md). The broker never looks inside. */
  readonly payload: Uint8Array
  /** Events in the payload; 0 where the producer did not say. */
  readonly events: number
  /** Unix milliseconds when the first event of the batch was due to leave the emitter. */
  readonly emittedAtMs: number
  /** The span that published it, as a W3C traceparent; its parts in other processes go on with that trace. */
  readonly traceparent?: string
}

/** How far an emitter has come in a named run. Stored in one step with the batch that it follows. */
export interface RunPosition {
  readonly run: string
  /** Batches published so far in this run, counted from 1; the broker refuses one that it has already seen. */
  readonly sequence: number
  /** Where the source goes on, in the source's own words. */
  readonly resume: string
  /** Events that the run has emitted so far, rejected ones included. */
  readonly emitted: number
  /** The source has nothing more to give: a later start of the run begins anew. */
  readonly done: boolean
}

/** A step of a run that the broker had stored and lost again, while later steps are still there. */
export interface LostStep {
  /** Where the run stood before it; undefined: at its beginning. */
  readonly before: RunPosition | undefined
  /** The position that was stored with it. */
  readonly position: RunPosition
}

/** Where a run stands. */
export interface RunStanding extends RunPosition {
  /** In order; to be made of the source again and published under the position that they had. Mostly absent. */
  readonly lost?: readonly LostStep[]
}

/** A batch on loan from the broker to one consumer. It stays pending until settled, split or released. */
export interface Delivery extends BatchMessage {
  readonly deliveryId: string
  readonly partition: number
  /** 1 on the first delivery; counted by the broker over all consumers, so it survives their death. */
  readonly attempt: number
}

/** An event (or a whole unreadable batch) that cannot be processed, kept with the reason. */
export interface DeadLetter {
  readonly batchId: string
  /** Undefined where the batch as a whole could not be read. */
  readonly eventId: bigint | undefined
  readonly code: EventErrorCode
  readonly message: string
  readonly attempts: number
  /** Wire form of the event alone, or the unreadable bytes, for inspection and replay. */
  readonly payload: Uint8Array
  /** Events it stands for in the account: 1, or those of an unreadable batch (1 where unknown). */
  readonly events: number
  readonly diedAtMs: number
}

export interface StoredDeadLetter extends DeadLetter {
  readonly id: string
}

/** The fate of every event of a delivery. */
export interface Settlement {
  /** Predictions in wire form, or undefined where every event became a dead letter. */
  readonly predictions: Uint8Array | undefined
  /** Events in `predictions`. */
  readonly predicted: number
  readonly deadLetters: readonly DeadLetter[]
}

/** `repeat`: the batch id had been settled before, so nothing was stored again. */
export type SettleResult = 'settled' | 'repeat'

/** What waits: batches not yet settled (unread or on loan). */
export interface Backlog {
  readonly unreadBatches: number
  readonly onLoanBatches: number
  /** Events in both, where producers said how many. */
  readonly events: number
  /** Age of the oldest batch not yet settled, 0 when there is none. */
  readonly oldestAgeMs: number
}

/** Counted in the same atomic steps that publish and settle, so it adds up after any crash. */
export interface Totals {
  readonly emitted: number
  readonly predicted: number
  readonly deadLettered: number
}

export interface StoredPredictions {
  /** Ascending within a partition: read on after it. */
  readonly cursor: string
  readonly partition: number
  readonly batchId: string
  /** Predictions in wire form. */
  readonly payload: Uint8Array
}

export interface Heartbeat {
  readonly role: string
  readonly instance: string
  readonly beatAtMs: number
  /** Beats are expected at least this often. */
  readonly everyMs: number
  /** Where its /health and /metrics are. */
  readonly url: string | undefined
  /** False once the broker has not heard for longer than the time to live; unless it left, the name is kept for a day. */
  readonly alive: boolean
}

/** How one onlooker reads stored predictions. An onlooker never takes them from others nor holds up trimming for ever. */
export interface OnlookerOptions {
  /** Per partition, the cursor to read on after; a partition that is missing starts at its oldest prediction kept. */
  readonly after?: ReadonlyMap<number, string>
  /** Start at what comes from now on instead. */
  readonly live?: boolean
  /** Start at most so many batches before what comes from now on, per partition; wins over `after`. */
  readonly last?: number
  readonly signal: AbortSignal
}

export interface SampleOptions {
  /** Pause after each batch. */
  readonly everyMs: number
  readonly signal: AbortSignal
}

export interface DeliveryOptions {
  /** Name of this consumer, unique among the living. */
  readonly consumer: string
  /** Deliveries lent at once at most: pulling is the back pressure. */
  readonly onLoanMax: number
  readonly signal: AbortSignal
}

/**
 * The treaty between emitter, consumer and onlookers. Every method rides out a broker that is away by trying again
 * with back-off until its signal (or `close`) ends it, except where it says that it throws at once.
 * test/conformance/broker holds its properties; each implementation passes them on the real thing.
 */
export interface Broker extends AsyncDisposable {
  readonly partitions: number

  /**
   * Stores the batch, the dead letters that the source made of unreadable events, and the position, in one atomic
   * step. `repeat` when the position's sequence was stored before: then nothing is stored again. Also `repeat` when the
   * broker has lost batches that this emitter had stored (a fail-over, a crash before its disk was written): then
   * `position` tells a lower sequence, or which steps are lost, and the emitter goes back there.
   * Without a position, `repeat` when the batch id was settled before.
   * A message of undefined stores position and dead letters alone.
   * @throws UsageError `run_taken` when the run has moved on by another emitter
   */
  publish(
    message: BatchMessage | undefined,
    position?: RunPosition,
    deadLetters?: readonly DeadLetter[],
  ): Promise<'stored' | 'repeat'>

  /**
   * Where a run stands, or undefined for a run that is new.
   * @throws UsageError `run_lost` when the broker has lost more of it than can be told where it was
   */
  position(run: string): Promise<RunStanding | undefined>

  /**
   * Lends batches, oldest first within a partition, until aborted. Deliveries of a dead consumer come up again after
   * the visibility timeout with a higher attempt. Loans of this consumer are kept alive while it holds them.
   */
  deliveries(options: DeliveryOptions): AsyncIterable<Delivery>

  /** Stores predictions and dead letters and acknowledges, in one atomic step keyed by batch id. */
  settle(delivery: Delivery, settlement: Settlement): Promise<SettleResult>

  /** Replaces the delivery by its parts, published at the end of the stream, in one atomic step. */
  split(delivery: Delivery, parts: readonly BatchMessage[]): Promise<SettleResult>

  /** Gives the loan back unharmed: another consumer gets it at once and the attempt does not count. */
  release(delivery: Delivery): Promise<void>

  backlog(): Promise<Backlog>
  totals(): Promise<Totals>

  /**
   * Eight hex digits that tell this stream from any other, so that a cursor is never taken for one of another stream.
   * Made with the stream; one that was deleted and begun anew has another.
   */
  streamId(): Promise<string>

  /** Predictions in order within a partition, waiting for more until aborted. */
  predictions(options: OnlookerOptions): AsyncIterable<StoredPredictions>

  /**
   * A batch now and then, at most one per `everyMs`: the newest that waits, or else the next that is published. Nobody
   * else notices: nothing is lent, no group is made and nothing is kept from trimming. Never the same batch twice in a
   * row. For onlookers that want to see some events, not all.
   */
  samples(options: SampleOptions): AsyncIterable<BatchMessage>

  /**
   * Holds the trimming of predictions at what a named reader has taken, for a day after its last call; the archive
   * calls it after each file.
   */
  holdPredictions(reader: string, taken: ReadonlyMap<number, string>): Promise<void>

  /** Newest first. At most `deadLettersMax` are kept for each partition; the oldest go, and stay counted in `totals`. */
  deadLetters(options: { readonly limit: number }): Promise<StoredDeadLetter[]>
  deadLetter(id: string): Promise<StoredDeadLetter | undefined>
  /** Publishes the payload again as a new batch and removes the dead letter, in one step. False if it is gone. */
  replayDeadLetter(id: string): Promise<boolean>
  dropDeadLetter(id: string): Promise<boolean>

  beat(beat: Omit<Heartbeat, 'alive' | 'beatAtMs'>): Promise<void>
  /** Takes the name of a part that ends in order out of the heartbeats, so that nobody misses it. Harmless to repeat. */
  leave(part: Pick<Heartbeat, 'role' | 'instance'>): Promise<void>
  heartbeats(): Promise<Heartbeat[]>

  /** One round trip. @throws UnavailableError at once when the broker is away */
  ping(): Promise<void>

  /** Ends waits, returns what is on loan unread, closes connections. Idempotent. */
  close(): Promise<void>
}
