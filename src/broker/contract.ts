import type { EventErrorCode } from '../errors.ts'

/** A batch on its way into the broker. */
export interface BatchMessage {
  /** A repeat of the same batch has the same id and is predicted once. */
  readonly batchId: string
  /** The events in wire form (docs/wire-format.md). The broker does not read it. */
  readonly payload: Uint8Array
  /** Events in the payload; 0 where the producer did not say. */
  readonly events: number
  /** Unix milliseconds when the first event of the batch was due to leave the emitter. */
  readonly emittedAtMs: number
  /** The span that published the batch, as a W3C traceparent. Consumers continue that trace. */
  readonly traceparent?: string
}

/** How far an emitter has come in a named run. Stored in one step with the batch that it follows. */
export interface RunPosition {
  readonly run: string
  /** Number of this batch in the run, counted from 1. The broker stores each number once. */
  readonly sequence: number
  /** Where the source continues after this batch, in the source's own format. */
  readonly resume: string
  /** Events that the run has emitted so far, including rejected ones. */
  readonly emitted: number
  /** The source has ended. A later start of the run begins again. */
  readonly done: boolean
}

/** A step of a run that the broker had stored and has lost, while it still has later steps. */
export interface LostStep {
  /** Where the run stood before it; undefined at the start of the run. */
  readonly before: RunPosition | undefined
  /** The position that was stored with it. */
  readonly position: RunPosition
}

/** Where a run stands. */
export interface RunStanding extends RunPosition {
  /** In order. The emitter reads these steps from the source again and publishes them under the same positions. */
  readonly lost?: readonly LostStep[]
}

/** A batch that the broker has leased to one consumer. It stays leased until it is settled, split or released. */
export interface Delivery extends BatchMessage {
  readonly deliveryId: string
  readonly partition: number
  /** What is wrong with the entry itself, such as a batch id that is not UTF-8. Its events become dead letters. */
  readonly fault?: { readonly code: EventErrorCode; readonly message: string }
  /** 1 on the first delivery. The broker counts over all consumers, so the count survives their end. */
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
  /** Events that it counts for in the totals: 1, or those of an unreadable batch (1 where unknown). */
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

/** The batches that are not settled yet. */
export interface Backlog {
  readonly unreadBatches: number
  readonly leasedBatches: number
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
  /** Ascends within a partition; reading continues after it. */
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
  /** False after three missed beats. The name is kept for a day unless the process leaves. */
  readonly alive: boolean
}

/** Where a reader of stored predictions starts. */
export interface PredictionsOptions {
  /** Per partition, the cursor to continue after. A partition that is missing starts at its oldest stored prediction. */
  readonly after?: ReadonlyMap<number, string>
  /** Start at predictions that are stored from now on. */
  readonly live?: boolean
  /** Start this many batches before the newest one of each partition; takes precedence over `after`. */
  readonly last?: number
  readonly signal: AbortSignal
}

export interface SampleOptions {
  /** Pause after each batch, ms. */
  readonly everyMs: number
  readonly signal: AbortSignal
}

export interface DeliveryOptions {
  /** Name of this consumer, unique among those that run. */
  readonly consumer: string
  /** The most batches that this consumer holds at once. Pulling is the back pressure. */
  readonly leasesMax: number
  readonly signal: AbortSignal
}

/*
 * The contract between the roles and the broker, one interface for each kind of use. Every method retries with back-off
 * while the broker is unavailable, until its signal aborts or the broker is closed, except `ping`. A retry is safe: each
 * step takes effect once. test/conformance/broker tests the contract on each backend.
 */

/** What an emitter uses. */
export interface EmitterBroker extends Pick<ReaderBroker, 'backlog'> {
  /**
   * Stores the batch, the dead letters that the source made of unreadable events, and the position, in one atomic step.
   * Without a message it stores position and dead letters alone.
   *
   * Returns `repeat`, and stores nothing, when
   * - the position's sequence was stored before;
   * - the broker has lost batches that this emitter had stored (a fail-over, a crash before its disk was written). Then
   *   `position` returns a lower sequence or the lost steps, and the emitter continues from there;
   * - there is no position, and the batch id was settled before.
   * @throws UsageError `run_taken` when another emitter has continued the run
   */
  publish(
    message: BatchMessage | undefined,
    position?: RunPosition,
    deadLetters?: readonly DeadLetter[],
  ): Promise<'stored' | 'repeat'>

  /**
   * Where a run stands, or undefined for a new run.
   * @throws UsageError `run_lost` when the broker has lost more steps than it can locate in the source
   */
  position(run: string): Promise<RunStanding | undefined>
}

/** What a consumer uses; its metrics also show the state of the stream. */
export interface ConsumerBroker extends Pick<ReaderBroker, 'backlog' | 'totals' | 'heartbeats' | 'ping'> {
  /**
   * Leases batches, oldest first within a partition, until aborted. A batch whose consumer has died is leased again after
   * the visibility timeout, with a higher attempt. The leases of this consumer are renewed while it holds them.
   */
  deliveries(options: DeliveryOptions): AsyncIterable<Delivery>

  /** Stores predictions and dead letters and ends the lease, in one atomic step, once for each batch id. */
  settle(delivery: Delivery, settlement: Settlement): Promise<SettleResult>

  /** Replaces the delivery by its parts, published at the end of the stream, in one atomic step. */
  split(delivery: Delivery, parts: readonly BatchMessage[]): Promise<SettleResult>

  /** Ends the lease without an outcome: another consumer gets the batch at once, and the attempt does not count. */
  release(delivery: Delivery): Promise<void>
}

/** What the display, the archive and the status commands use. Reading takes nothing from the stream. */
export interface ReaderBroker {
  backlog(): Promise<Backlog>
  totals(): Promise<Totals>
  heartbeats(): Promise<Heartbeat[]>

  /** One round trip. @throws UnavailableError at once when the broker is unavailable */
  ping(): Promise<void>

  /**
   * Ends when the broker would store a batch now.
   * @throws UnavailableError at once when it is unavailable or would refuse: memory or disk full, or read-only
   */
  checkWritable(): Promise<void>

  /**
   * Eight hex digits that identify this stream, so that a cursor is never used on another stream. A stream that was
   * deleted and started again has another id.
   */
  streamId(): Promise<string>

  /** Predictions in order within a partition; waits for more until aborted. */
  predictions(options: PredictionsOptions): AsyncIterable<StoredPredictions>

  /**
   * Delays trimming: predictions after the cursors in `taken` are kept for the named reader, for a day after its last
   * call. The archive calls this after each file.
   */
  holdPredictions(reader: string, taken: ReadonlyMap<number, string>): Promise<void>

  /**
   * One batch per `everyMs` at most: the newest one that waits, or else the next one that is published. Sampling has no
   * effect on the stream: it leases nothing, creates no group and delays no trimming. The same batch never comes twice in
   * a row.
   */
  samples(options: SampleOptions): AsyncIterable<BatchMessage>

  /** Newest first. At most `deadLettersMax` are kept for each partition; older ones are deleted, and `totals` still counts them. */
  deadLetters(options: { readonly limit: number }): Promise<StoredDeadLetter[]>
  deadLetter(id: string): Promise<StoredDeadLetter | undefined>
}

/** What keeps the stream in order: heartbeats and decisions about dead letters. */
export interface BrokerUpkeep {
  beat(beat: Omit<Heartbeat, 'alive' | 'beatAtMs'>): Promise<void>
  /** Removes the name of a process that ends normally from the heartbeats, so that no alert fires. Safe to repeat. */
  leave(part: Pick<Heartbeat, 'role' | 'instance'>): Promise<void>

  /** Publishes the payload again as a new batch and removes the dead letter, in one step. False if it no longer exists. */
  replayDeadLetter(id: string): Promise<boolean>
  dropDeadLetter(id: string): Promise<boolean>
}

export interface Broker extends EmitterBroker, ConsumerBroker, ReaderBroker, BrokerUpkeep, AsyncDisposable {
  readonly partitions: number

  /** Ends all waits, releases leases whose batches were not read, and closes connections. Safe to repeat. */
  close(): Promise<void>
}
