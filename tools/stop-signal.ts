const PARENT_POLL_MS = 500

export interface StopRequest {
  /** Aborts when the program must stop. */
  readonly signal: AbortSignal
  /** Aborts when the program must stop at once. */
  readonly killed: AbortSignal
  /** Exit code of a program that stopped on request. */
  exitCode(): number
}

/** SIGINT, SIGTERM, a closed terminal or the end of the parent process: stop. A second one: stop at once. */
export function listenForStop(): StopRequest {
  const stop = new AbortController()
  const kill = new AbortController()
  let first: string | undefined
  const end = (name: string) => {
    if (first !== undefined) kill.abort()
    first ??= name
    stop.abort()
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => end(name))
  const parent = process.ppid
  // Set by tasks.ts; without it this may run as a service whose parent has ended on purpose.
  if (process.env['NUSTREAM_STOP_WITH_PARENT'] !== undefined)
    setInterval(
      () => process.ppid !== parent && first === undefined && end('orphaned'),
      PARENT_POLL_MS,
    ).unref()
  const exitCode = () => (first === undefined || first === 'SIGTERM' ? 0 : first === 'SIGINT' ? 130 : 1)
  return { signal: stop.signal, killed: kill.signal, exitCode }
}
