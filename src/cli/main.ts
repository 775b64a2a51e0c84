#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { NustreamError, UsageError } from '../errors.ts'
import { addArchive } from './archive.ts'
import { addConsume } from './consume.ts'
import { addDeadLetters } from './dead-letters.ts'
import { addDisplay } from './display.ts'
import { addDoctor } from './doctor.ts'
import { addEmit } from './emit.ts'
import { addEvaluate } from './evaluate.ts'
import { addModels } from './models.ts'
import { addServe } from './serve.ts'
import { addSimulate } from './simulate.ts'
import { addUp } from './up.ts'
import { packageVersion } from './version.ts'

const USAGE = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
Every setting is also read from the environment (--backlog-max is NUSTREAM_BACKLOG_MAX) and from the JSON file of
--config; the command line wins over the environment, the environment over the file.`

export function createProgram(): Command {
  const program = new Command('nustream')
    .description(
      'Says for every event of a neutrino telescope where the neutrino came from, live, with any model.',
    )
    .version(packageVersion())
    .addHelpText('after', USAGE)
    .showHelpAfterError('(--help shows what there is)')
    .exitOverride()
  const commands = [addUp, addEmit, addConsume, addServe, addDisplay, addArchive]
  const tools = [addSimulate, addEvaluate, addDeadLetters, addModels, addDoctor]
  for (const add of [...commands, ...tools]) add(program)
  // Subcommands must report wrong usage the same way as the program.
  for (const command of program.commands)
    command.exitOverride().showHelpAfterError('(--help shows what there is)')
  return program
}

/** Runs a command line; never throws. Errors go to stderr as one readable sentence. */
export async function main(argv: readonly string[]): Promise<number> {
  process.exitCode = 0
  try {
    await createProgram().parseAsync([...argv])
    return Number(process.exitCode)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (error instanceof NustreamError) {
      console.error(`nustream: ${error.message}`)
      return error instanceof UsageError && /^(flag|config)_/.test(error.code) ? 2 : 1
    }
    console.error('nustream: internal error:', error)
    return 1
  }
}

if (import.meta.main) process.exit(await main(process.argv))
