import { readFileSync } from 'node:fs'
import { type Guarded, startGuarded } from './guarded.ts'

/** One process of a cube: its program and settings. */
export interface PartPlan {
  readonly name: string
  readonly cube: 1 | 2
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd: string
  readonly logFile: string
  /** Its address for people and other processes. */
  readonly address: string
  /** Resolves to true when it works; a rejection means not yet. */
  readonly isReady: () => Promise<boolean>
  /** True if it may end by itself with exit code 0; it is then done. */
  readonly mayEnd?: boolean
}

export type PartState = 'starting' | 'ready' | 'restarting' | 'done' | 'failed' | 'stopped'

export interface PartWatch {
  /** A sentence for the terminal. */
  say(text: string): void
  /** It ended and will not be restarted; the sentence gives the reason. */
  failed(text: string): void
}

const RESTART_FIRST_MS = 500
const RESTART_LAST_MS = 10_000
/** After this many restarts in a row it is given up; a minute of health resets the count. */
const RESTARTS_MAX = 6
/** A process that has never become ready is given up earlier. */
const FIRST_RESTARTS_MAX = 2
const LAST_WORDS_CHARACTERS = 400
const HEALTHY_MS = 60_000
const STOP_WITHIN_MS = 25_000
const READY_POLL_MS = 150

/** nustream's exit code for wrong usage: a restart would not help. */
const WRONG_USAGE = 2

/** Keeps one process running: restarts it with growing pauses, and gives up if that does not help. */
export class Part {
  readonly plan: PartPlan
  state: PartState = 'starting'
  restarts = 0
  readonly #watch: PartWatch
  readonly #done = Promise.withResolvers<void>()
  #current: Guarded | undefined
  #timer: NodeJS.Timeout | undefined
  #inARow = 0
  #wasReady = false

  constructor(plan: PartPlan, watch: PartWatch) {
    this.plan = plan
    this.#watch = watch
  }

  get pid(): number | undefined {
    return this.#current?.group
  }

  /** Resolves when a process that may end has ended by itself with exit code 0. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  start(): void {
    const { command, cwd, env, logFile } = this.plan
    const startedAt = performance.now()
    const current = startGuarded({ command, cwd, ...(env && { env }), logFile })
    this.#current = current
    void current.ended.then((code) => this.#onEnd(code, performance.now() - startedAt))
  }

  /** Resolves when it works. @throws Error when it has failed, or at the deadline */
  async ready(withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs
    for (;;) {
      if (this.state === 'failed' || this.state === 'stopped')
        throw new Error(`${this.plan.name} did not come up`)
      if (this.state === 'done' || (await this.plan.isReady().catch(() => false))) break
      if (performance.now() > deadline)
        throw new Error(
          `${this.plan.name} was not ready after ${withinMs / 1_000} s: see ${this.plan.logFile}`,
        )
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS))
    }
    this.#wasReady = true
    if (this.state === 'starting' || this.state === 'restarting') this.state = 'ready'
  }

  /** Asks it to finish, and kills it if it does not. Never throws. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    const current = this.#current
    if (this.state !== 'done' && this.state !== 'failed') this.state = 'stopped'
    if (current === undefined) return
    current.signal('SIGTERM')
    const timer = setTimeout(() => {
      this.#watch.say(`${this.plan.name} did not stop within ${STOP_WITHIN_MS / 1_000} s and was killed`)
      current.signal('SIGKILL')
    }, STOP_WITHIN_MS)
    await current.ended
    clearTimeout(timer)
  }

  /** Ends it at once. */
  kill(): void {
    clearTimeout(this.#timer)
    if (this.state !== 'done' && this.state !== 'failed') this.state = 'stopped'
    this.#current?.signal('SIGKILL')
  }

  #onEnd(code: number, ranMs: number): void {
    this.#current = undefined
    if (this.state === 'stopped') return
    const { name, logFile, mayEnd = false } = this.plan
    if (code === 0 && mayEnd) {
      this.state = 'done'
      this.#done.resolve()
      return
    }
    if (ranMs > HEALTHY_MS) this.#inARow = 0
    const restartsMax = this.#wasReady ? RESTARTS_MAX : FIRST_RESTARTS_MAX
    if (code === WRONG_USAGE || this.#inARow === restartsMax) {
      this.state = 'failed'
      const tried = code === WRONG_USAGE ? '' : ` after ${this.#inARow} restarts`
      this.#watch.failed(`${name} ended with exit code ${code}${tried} (${logFile}): ${lastWords(logFile)}`)
      return
    }
    const pauseMs = Math.min(RESTART_LAST_MS, RESTART_FIRST_MS * 2 ** this.#inARow)
    this.#inARow += 1
    this.restarts += 1
    this.state = 'restarting'
    this.#watch.say(
      `${name} ended with exit code ${code}; started again in ${pauseMs / 1_000} s (${logFile})`,
    )
    this.#timer = setTimeout(() => this.#restart(), pauseMs)
  }

  #restart(): void {
    this.start()
    if (this.#current !== undefined) void this.#becomeReady(this.#current)
  }

  /** Waits without a deadline; an earlier end of the process is reported elsewhere. */
  async #becomeReady(current: Guarded): Promise<void> {
    const isStarting = () => this.#current === current && this.state === 'restarting'
    while (isStarting()) {
      const isReady = await this.plan.isReady().catch(() => false)
      if (isReady && isStarting()) this.state = 'ready'
      else await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS))
    }
  }
}

/** The last line of a process's log. */
function lastWords(logFile: string): string {
  const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n')
  return (lines.at(-1) ?? '').slice(0, LAST_WORDS_CHARACTERS)
}
