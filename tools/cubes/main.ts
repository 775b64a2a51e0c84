/**
 * `npm run cubes`: runs both cubes as processes of this machine, without a container engine. See `npm run cubes -- --help`.
 */

import { listenForStop } from '../stop-signal.ts'
import { HELP, readOptions } from './options.ts'
import { runCubes } from './run.ts'
import { openTerminal } from './terminal.ts'

process.exit(await main(process.argv.slice(2)))

async function main(args: readonly string[]): Promise<number> {
  // The reader of stdout may close it before everything has stopped.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  let options: ReturnType<typeof readOptions>
  try {
    options = readOptions(args)
  } catch (error) {
    console.error(
      `nustream: ${(error as Error).message}\nRun "npm run cubes -- --help" for a list of options`,
    )
    return 2
  }
  if (options === 'help') {
    console.log(HELP)
    return 0
  }
  const { signal, killed, exitCode } = listenForStop()
  const terminal = openTerminal()
  try {
    await runCubes({ options, terminal, signal, killed })
    return exitCode()
  } catch (error) {
    terminal.say(`nustream: ${(error as Error).message}`)
    return 1
  }
}
