/** How a process is asked to stop. */
export interface Interrupt extends Disposable {
  /** Aborts at the first SIGINT or SIGTERM: finish what is under way, then return. */
  readonly signal: AbortSignal
  /** For a role, which has no end of its own: 130 after SIGINT, otherwise 0, as SIGTERM is a service manager's orderly end. */
  exitCode(): number
}

/** Exit code of work that was cut short: whichever signal asked for it, what was wanted is not there. */
export const CUT_SHORT = 130

/** The first signal asks to finish, the second ends the process at once (whatever was on loan is delivered again). */
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
