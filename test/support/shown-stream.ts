import { type NustreamProcess, startNustream } from './nustream.ts'
import type { Owner } from './redis.ts'
import { until } from './until.ts'

export interface ShownStream {
  /** Address of the page, without a slash at the end. */
  readonly url: string
  readonly process: NustreamProcess
}

const READY_WITHIN_MS = 60_000

/** `nustream up` with its page on a free port. */
export async function startShownStream(args: readonly string[], owner?: Owner): Promise<ShownStream> {
  return await startWithPage(['up', '--port', '0', ...args], owner)
}

/** `nustream display` of a broker, by default on a free port. */
export async function startDisplay(broker: string, owner?: Owner, port = 0): Promise<ShownStream> {
  const args = ['display', '--broker', broker, '--port', `${port}`, '--log-level', 'error']
  return await startWithPage(args, owner)
}

async function startWithPage(args: readonly string[], owner?: Owner): Promise<ShownStream> {
  const process = startNustream(args, owner)
  const url = await until(
    () => {
      if (process.child.exitCode !== null) throw new Error(process.stderr())
      return /(?:page|see it) at (http:\S+?)\/\s/.exec(process.stderr())?.[1]
    },
    { withinMs: READY_WITHIN_MS, what: 'the address of the page' },
  )
  return { url, process }
}
