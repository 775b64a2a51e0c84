import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * The settings that a role reads from an environment.
 * @throws Error with the role's message if it refuses them
 */
export async function settingsOf(
  command: string,
  environment: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, unknown>>> {
  const args = ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', command, '--print-config']
  const { stdout } = await run(process.execPath, args, {
    env: { PATH: process.env['PATH'], ...environment },
  })
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>
}

/** Names in the environment that the role ignores: misspelt, or of another role. */
export async function unknownTo(
  command: string,
  environment: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const settings = await settingsOf(command, environment)
  const given = Object.entries(environment).filter(
    ([name, value]) => name.startsWith('NUSTREAM_') && value !== '' && name !== 'NUSTREAM_CONFIG',
  )
  return given.map(([name]) => name).filter((name) => !(toKey(name) in settings))
}

/** `NUSTREAM_BACKLOG_MAX` is `backlogMax`. */
function toKey(name: string): string {
  return name
    .slice('NUSTREAM_'.length)
    .toLowerCase()
    .replace(/_[a-z]/g, (text) => text.slice(1).toUpperCase())
}
