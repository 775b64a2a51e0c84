#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { NustreamError, UsageError } from '../errors.ts'
import { maskSecrets } from '../telemetry/secrets.ts'
import { nodeProblem, packageVersion } from './version.ts'

const USAGE = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
Every setting is also read from the environment (--backlog-max is NUSTREAM_BACKLOG_MAX) and from the JSON file of
--config; the command line wins over the environment, the environment over the file.`

/** Codes of errors that the command line itself is wrong about, rather than what it names. */
const WRONG_USAGE = /^(flag_|config_|source_unknown$|broker_url_invalid$)/

/** Loaded when asked for: an emitter has no use for ONNX Runtime in its memory. In the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<{ add(program: Command): void }>>> = {
  up: () => import('./up.ts'),
  emit: () => import('./emit.ts'),
  consume: () => import('./consume.ts'),
  serve: () => import('./serve.ts'),
  display: () => import('./display.ts'),
  archive: () => import('./archive.ts'),
  simulate: () => import('./simulate.ts'),
  compare: () => import('./compare.ts'),
  evaluate: () => import('./evaluate.ts'),
  'dead-letters': () => import('./dead-letters.ts'),
  models: () => import('./models.ts'),
  doctor: () => import('./doctor.ts'),
}

/** The program with the command that is named, or with all of them where none is. */
async function createProgram(name: string | undefined): Promise<Command> {
  const program = new Command('nustream')
    .description(
      'Says for every event of a neutrino telescope where the neutrino came from, live, with any model.',
    )
    .version(packageVersion())
    .addHelpText('after', USAGE)
    .showHelpAfterError('(--help shows what there is)')
    .exitOverride()
  const named =
    name !== undefined && Object.hasOwn(COMMANDS, name) ? [COMMANDS[name]] : Object.values(COMMANDS)
  for (const load of named) (await load()).add(program)
  // Subcommands must report wrong usage the same way as the program.
  for (const command of program.commands)
    command.exitOverride().showHelpAfterError('(--help shows what there is)')
  return program
}

/** Runs a command line; never throws. Errors go to stderr as one readable sentence. */
async function main(argv: readonly string[]): Promise<number> {
  process.exitCode = 0
  const problem = nodeProblem(process.versions.node)
  if (problem) {
    console.error(`nustream: ${problem}`)
    return 1
  }
  try {
    await (await createProgram(argv[2])).parseAsync([...argv])
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

process.exit(await main(process.argv))
