/** A request to stop this process. */
export interface Interrupt extends Disposable {
  /** Aborts at the first SIGINT or SIGTERM: finish the work in progress, then return. */
  readonly signal: AbortSignal
  /** For a role that runs until it is stopped: 130 after SIGINT, 0 after SIGTERM, with which service managers stop it. */
  exitCode(): number
}

/** Exit code of work that a signal of either kind stopped before its result was complete. */
export const CUT_SHORT = 130

/** The first signal asks to finish; the second ends the process at once, and leased batches are delivered again. */
export function listenForInterrupt(): Interrupt {
  const controller = new AbortController()
  let first: NodeJS.Signals | undefined
  const onSignal = (name: NodeJS.Signals) => {
    if (first) process.kill(process.pid, 'SIGKILL')
    first = name
    controller.abort(new Error(`stopped by ${name}`))
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  return {
    signal: controller.signal,
    exitCode: () => (first === 'SIGINT' ? CUT_SHORT : 0),
    [Symbol.dispose]: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  }
}
