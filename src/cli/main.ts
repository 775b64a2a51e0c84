#!/usr/bin/env node
import { Command } from 'commander'
import { runProgram } from './program.ts'
import { packageVersion } from './version.ts'

const USAGE = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
Every setting is also read from the environment (--backlog-max is NUSTREAM_BACKLOG_MAX) and from the JSON file of
--config; the command line wins over the environment, the environment over the file.`

/** In the order of the help. Loaded on demand: an emitter does not need ONNX Runtime in memory. */
const COMMANDS: Readonly<Record<string, () => Promise<{ add(program: Command): void }>>> = {
  up: () => import('./up.ts'),
  emit: () => import('./emit.ts'),
  consume: () => import('./consume.ts'),
  serve: () => import('./serve.ts'),
  display: () => import('./display.ts'),
  archive: () => import('./archive.ts'),
  simulate: () => import('./simulate.ts'),
  evaluate: () => import('./evaluate.ts'),
  'dead-letters': () => import('./dead-letters.ts'),
  inspect: () => import('./inspect.ts'),
  skymap: () => import('./skymap.ts'),
  models: () => import('./models.ts'),
  doctor: () => import('./doctor.ts'),
}

/** The program with the named command, or with all commands if none is named. */
async function createProgram(name: string | undefined): Promise<Command> {
  const program = new Command('nustream')
    .description(
      'Reconstructs neutrino directions in real time: reads a telescope’s event stream and runs your model on every event.',
    )
    .version(packageVersion())
    .addHelpText('after', USAGE)
  const named =
    name !== undefined && Object.hasOwn(COMMANDS, name) ? [COMMANDS[name]] : Object.values(COMMANDS)
  for (const load of named) (await load()).add(program)
  return program
}

const { argv } = process
process.exit(await runProgram(() => createProgram(argv[2]), argv))
