import { type Command, CommanderError } from 'commander'
import { NustreamError, UsageError } from '../errors.ts'
import { maskSecrets } from '../telemetry/foreign-text.ts'
import { nodeProblem } from './version.ts'

/** Codes of errors in the command line itself, as opposed to errors in what it names. */
const WRONG_USAGE = /^(flag_|config_|source_unknown$|broker_url_invalid$)/

/**
 * Runs a command line; never throws. Errors go to stderr as one sentence. Returns the exit code: 0 done, 1 failed,
 * 2 wrong usage, or the command's own code.
 */
export async function runProgram(
  createProgram: () => Command | Promise<Command>,
  argv: readonly string[],
): Promise<number> {
  process.exitCode = 0
  const problem = nodeProblem(process.versions.node)
  if (problem) {
    console.error(`nustream: ${problem}`)
    return 1
  }
  try {
    const program = await createProgram()
    // Subcommands must report wrong usage the same way as the program.
    for (const command of [program, ...program.commands])
      command.exitOverride().showHelpAfterError('Run "nustream --help" for a list of commands')
    await program.parseAsync([...argv])
    return Number(process.exitCode)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (error instanceof NustreamError) {
      console.error(`nustream: ${maskSecrets(error.message)}`)
      return error instanceof UsageError && WRONG_USAGE.test(error.code) ? 2 : 1
    }
    console.error('nustream: internal error:', error)
    return 1
  }
}
