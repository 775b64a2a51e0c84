/**
 * `npm run cubes`: both cubes as processes of this machine, with no container engine. See `npm run cubes -- --help`.
 */
import { HELP, readOptions } from './cubes/options.ts'
import { runCubes } from './cubes/run.ts'
import { openTerminal } from './cubes/terminal.ts'

const PARENT_POLL_MS = 500

process.exit(await main(process.argv.slice(2)))

async function main(args: readonly string[]): Promise<number> {
  // Whoever reads may be gone before everything has stopped.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  let options: ReturnType<typeof readOptions>
  try {
    options = readOptions(args)
  } catch (error) {
    console.error(`nustream: ${(error as Error).message} (--help shows what there is)`)
    return 2
  }
  if (options === 'help') {
    console.log(HELP)
    return 0
  }
  const { signal, killed, exitCode } = listenForTheEnd()
  const terminal = openTerminal()
  try {
    await runCubes({ options, terminal, signal, killed })
    return exitCode()
  } catch (error) {
    terminal.say(`nustream: ${(error as Error).message}`)
    return 1
  }
}

/** SIGINT, SIGTERM, a closed terminal, or the end of the program that started this one: stop. A second one: at once. */
function listenForTheEnd() {
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
  // Set by scripts/run.mjs; without it this may be a service whose starter is free to go.
  if (process.env['NUSTREAM_DOOR'] !== undefined)
    setInterval(
      () => process.ppid !== parent && first === undefined && end('orphaned'),
      PARENT_POLL_MS,
    ).unref()
  const exitCode = () => (first === undefined || first === 'SIGTERM' ? 0 : first === 'SIGINT' ? 130 : 1)
  return { signal: stop.signal, killed: kill.signal, exitCode }
}
