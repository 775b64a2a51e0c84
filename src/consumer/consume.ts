import { within } from '../async/deadline.ts'
import type { Delivery } from '../broker/contract.ts'
import { UnavailableError } from '../errors.ts'
import { putBack, reconstruct } from './reconstruct.ts'
import type { ConsumeReport } from './report.ts'
import { type ConsumeOptions, createRun, type Run } from './run.ts'
import { watchBacklog } from './watch-backlog.ts'

/**
 * Takes batches from the broker, asks the model, and stores each event's prediction or dead letter in the step that
 * acknowledges its batch, until `signal` aborts. Then finishes what is on loan within `shutdownMs` and gives back the
 * rest. A broker or model that is away is waited for; an unknown error stops the consumer, and its batch comes back
 * through the broker in parts.
 * @throws the unknown error
 */
export async function consume(options: ConsumeOptions): Promise<ConsumeReport> {
  const run = createRun(options)
  const { broker, metrics, backlogEveryMs, log, consumer, inferrer } = run
  const ended = new AbortController()
  watchBacklog({ broker, metrics, everyMs: backlogEveryMs, signal: ended.signal })
  log.info({ consumer, model: inferrer.model, leasesMax: run.leasesMax }, 'consuming')
  try {
    let careful = false
    while (!run.stopping.aborted) {
      metrics.careful.set(careful ? 1 : 0)
      const turn = await takeUntilTurn(run, careful)
      careful = turn === 'careful'
    }
  } finally {
    ended.abort()
    run.end()
  }
  const report = run.tally.report({ gaveUp: run.giveUp.aborted })
  log.info({ report }, 'stopped')
  run.throwIfFailed()
  return report
}

/** After so many batches in a row that come for the first time, several are taken at once again. */
const CALM_BATCHES = 4

/**
 * Takes deliveries until stopped, or until the other way of taking them is due, which it returns.
 * A batch that has been on loan before may have ended the consumer that held it. It is taken `careful`ly, alone on
 * loan, so that a death counts as an attempt of this one and never of its innocent neighbours.
 */
async function takeUntilTurn(run: Run, careful: boolean): Promise<'careful' | 'usual'> {
  const { broker, consumer, metrics, stopping } = run
  const leasesMax = careful ? 1 : run.leasesMax
  const turn = new AbortController()
  const signal = AbortSignal.any([stopping, turn.signal])
  const held = new Set<Promise<void>>()
  let calm = 0
  for await (const delivery of broker.deliveries({ consumer, leasesMax, signal })) {
    const isFirst = delivery.attempt === 1
    if (!careful && !isFirst) turn.abort()
    if (signal.aborted) {
      await giveBack(delivery, run)
      continue
    }
    metrics.onLoan.inc()
    const settled = take(delivery, run).finally(() => {
      held.delete(settled)
      metrics.onLoan.dec()
    })
    held.add(settled)
    if (held.size >= leasesMax) await Promise.race(held)
    calm = isFirst ? calm + 1 : 0
    if (careful && calm >= CALM_BATCHES) turn.abort()
  }
  await Promise.all(held)
  return turn.signal.aborted && !careful ? 'careful' : 'usual'
}

/** Brings one delivery to its end: settled, put back in parts, given back, or the end of the consumer. Never throws. */
async function take(delivery: Delivery, run: Run): Promise<void> {
  try {
    await reconstruct(delivery, run)
  } catch (error) {
    if (isInterruption(error, run)) return giveBack(delivery, run)
    run.fail(error, delivery)
    await putBackAtEnd(delivery, error, run)
  }
}

async function putBackAtEnd(delivery: Delivery, cause: unknown, run: Run): Promise<void> {
  try {
    await within(() => putBack(delivery, cause, run), RELEASE_WITHIN_MS)
  } catch (error) {
    run.log.warn({ err: error, batchId: delivery.batchId }, 'batch not put back, it comes back by itself')
  }
}

/** Whether the work was broken off by the end of this consumer, and not by a fault of its own. */
function isInterruption(error: unknown, { stopping, giveUp }: Run): boolean {
  if (giveUp.aborted) return true
  if (!stopping.aborted) return false
  if (error === stopping.reason || error instanceof UnavailableError) return true
  return error instanceof Error && error.name === 'AbortError'
}

/** A broker that is away would keep us waiting; the loan then ends by itself with its visibility timeout. */
const RELEASE_WITHIN_MS = 2_000

async function giveBack(delivery: Delivery, { broker, metrics, log }: Run): Promise<void> {
  try {
    await within(() => broker.release(delivery), RELEASE_WITHIN_MS)
    metrics.releases.inc()
  } catch (error) {
    log.warn({ err: error, batchId: delivery.batchId }, 'batch not given back, it comes back by itself')
  }
}
