import { type NustreamProcess, startNustream } from './nustream.ts'

/** A process that is restarted whenever it ends early, as by a service manager. */
export interface Part {
  readonly name: string
  /** Kills it with SIGKILL and starts it again. */
  kill9(): Promise<void>
  /** Whether it has ended by itself with exit code 0. */
  readonly isDone: boolean
  readonly restarts: number
  stop(): Promise<void>
  /** The end of its stderr, for the message of a failure. */
  lastWords(): string
}

const RESTART_DELAY_MS = 200

/** Keeps `nustream …args` running until it ends with exit code 0. */
export function supervise(name: string, args: readonly string[]): Part & { readonly output: () => string } {
  let stopped = false
  let isDone = false
  let restarts = 0
  let current: NustreamProcess = start()
  let words = ''

  function start(): NustreamProcess {
    const started = startNustream(args)
    void started.ended.then((code) => {
      words = `${words}${started.stderr()}`.slice(-4_000)
      if (stopped || started !== current) return
      isDone = code === 0
      if (!isDone) setTimeout(restart, RESTART_DELAY_MS)
    })
    return started
  }

  function restart(): void {
    if (stopped) return
    restarts += 1
    current = start()
  }

  return {
    name,
    get isDone() {
      return isDone
    },
    get restarts() {
      return restarts
    },
    async kill9() {
      if (isDone) return
      await current.kill('SIGKILL')
    },
    async stop() {
      stopped = true
      await current.kill('SIGKILL')
    },
    output: () => current.stdout(),
    lastWords: () => `${name}: ${words}${current.stderr()}`.slice(-4_000),
  }
}
