import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { maskSecrets } from '../telemetry/foreign-text.ts'

/** How a setting appears on the command line, in addition to its schema and description. */
export interface FlagMeta {
  /** Placeholder of the value in the help, such as `events/s`. Missing for a switch. */
  readonly value?: string
  /** May be given several times; the schema is an array. */
  readonly repeat?: boolean
  /** Read from the environment or a file only: other users can list command lines. */
  readonly secret?: boolean
}

export interface CommandDefinition<Shape extends z.ZodRawShape> {
  readonly name: string
  readonly summary: string
  readonly description?: string
  /** Whole command lines, shown in the help. */
  readonly examples: readonly string[]
  readonly shape: Shape
  /** Positional arguments as commander spells them, such as `<folder>`. */
  readonly arguments?: readonly { readonly spec: string; readonly description: string }[]
  /** Returns the exit code. */
  run(config: z.infer<z.ZodObject<Shape>>, positionals: readonly string[]): Promise<number>
}

/**
 * Adds a command whose flags, environment variables and configuration file all come from one strict schema.
 * Precedence: command line, then environment `NUSTREAM_…`, then the file of `--config`, then the default.
 */
export function addCommand<Shape extends z.ZodRawShape>(
  program: Command,
  definition: CommandDefinition<Shape>,
): void {
  const command = program.command(definition.name).summary(definition.summary)
  command.description(definition.description ?? definition.summary)
  for (const { spec, description } of definition.arguments ?? []) command.argument(spec, description)
  for (const [key, schema] of Object.entries(definition.shape)) {
    const option = toOption(key, schema as z.ZodType)
    if (option) command.addOption(option)
  }
  command.option('--config <file>', 'JSON file with the same settings, keys in camelCase')
  command.option('--print-config', 'print the effective settings and exit')
  command.addHelpText(
    'after',
    `\nExamples:\n${definition.examples.map((line) => `  $ ${line}`).join('\n')}\n`,
  )
  command.action(async (...given: unknown[]) => {
    const positionals = command.args
    const flags = (given.at(-2) ?? {}) as Record<string, unknown>
    const config = resolveConfig(definition.shape, flags, process.env)
    if (flags['printConfig']) {
      console.log(JSON.stringify(hideSecrets(definition.shape, config), undefined, 2))
      return
    }
    process.exitCode = await definition.run(config, positionals)
  })
}

/** The effective settings, checked. @throws UsageError `config_invalid` that names every wrong setting */
export function resolveConfig<Shape extends z.ZodRawShape>(
  shape: Shape,
  flags: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string | undefined>>,
): z.infer<z.ZodObject<Shape>> {
  const given: Record<string, unknown> = {}
  const path = flags['config'] ?? environment['NUSTREAM_CONFIG']
  if (typeof path === 'string') Object.assign(given, readConfigFile(path, Object.keys(shape)))
  for (const [key, schema] of Object.entries(shape)) {
    const text = environment[environmentName(key)]
    if (text !== undefined && text !== '')
      given[key] = metaOf(schema as z.ZodType).repeat ? text.split(',') : text
    if (flags[key] !== undefined) given[key] = flags[key]
  }
  const parsed = z.strictObject(shape).safeParse(given)
  if (parsed.success) return parsed.data as z.infer<z.ZodObject<Shape>>
  const problems = parsed.error.issues.map((issue) => toProblem(issue, given, shape))
  throw new UsageError('config_invalid', problems.join('\n'))
}

function toProblem(
  issue: z.core.$ZodIssue,
  given: Readonly<Record<string, unknown>>,
  shape: z.ZodRawShape,
): string {
  const key = String(issue.path[0] ?? '')
  if (key !== '' && given[key] === undefined) {
    const { value = 'value' } = metaOf(shape[key] as z.ZodType)
    return `--${toKebab(key)} ${value.toUpperCase()} is required (or set ${environmentName(key)})`
  }
  const shown = JSON.stringify(given[key])
  const names = key === '' ? '' : `--${toKebab(key)} (${environmentName(key)}) ${shown}: `
  return `${names}${issue.message}`
}

/** In the environment and in files, a switch also takes a written value: `false` means false. */
export function switchFlag(description: string): z.ZodDefault<z.ZodType<boolean>> {
  return z.union([z.boolean(), z.stringbool()]).default(false).describe(description) as never
}

function readConfigFile(path: string, keys: readonly string[]): Record<string, unknown> {
  let content: unknown
  try {
    content = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UsageError('config_invalid', `configuration file ${path}: ${(error as Error).message}`, {
      cause: error,
    })
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new UsageError('config_invalid', `configuration file ${path}: expected a JSON object`)
  const unknownKey = Object.keys(content).find((key) => !keys.includes(key))
  if (unknownKey !== undefined)
    throw new UsageError(
      'config_invalid',
      `configuration file ${path}: unknown setting "${unknownKey}"; expected one of ${keys.join(', ')}`,
    )
  return content as Record<string, unknown>
}

function toOption(key: string, schema: z.ZodType): Option | undefined {
  const meta = metaOf(schema)
  if (meta.secret) return undefined
  const flags = meta.value ? `--${toKebab(key)} <${meta.value}>` : `--${toKebab(key)}`
  const fallback = defaultOf(schema)
  const shown = fallback === undefined || fallback === false ? '' : ` (default: ${String(fallback)})`
  const option = new Option(flags, `${schema.description ?? ''}${shown}`)
  if (meta.repeat)
    option.argParser((text: string, previous: string[] | undefined) => [...(previous ?? []), text])
  return option
}

function metaOf(schema: z.ZodType): FlagMeta {
  return (schema.meta() ?? {}) as FlagMeta
}

function defaultOf(schema: z.ZodType): unknown {
  const parsed = schema.safeParse(undefined)
  return parsed.success ? parsed.data : undefined
}

/** The settings as `--print-config` prints them. */
export function hideSecrets(shape: z.ZodRawShape, config: object): object {
  const entries = Object.entries(config).map(([key, value]) => {
    const schema = shape[key] as z.ZodType | undefined
    if (schema && metaOf(schema).secret && value !== undefined) return [key, '(set)']
    return [key, hidePasswords(value)]
  })
  return Object.fromEntries(entries)
}

/**
 * Hides the password of a URL. A password that is not percent-encoded may hold `/`, `:` and `@`; therefore all text
 * between the user name and the last `@` is hidden.
 */
function hidePasswords(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hidePasswords)
  if (typeof value !== 'string') return value
  const [scheme, at] = [value.indexOf('://'), value.lastIndexOf('@')]
  const colon = value.indexOf(':', scheme + 3)
  const hasPassword = scheme > 0 && colon > 0 && colon < at
  return maskSecrets(hasPassword ? `${value.slice(0, colon)}:***${value.slice(at)}` : value)
}

/** `backlogMax` is `NUSTREAM_BACKLOG_MAX`. */
export function environmentName(key: string): string {
  return `NUSTREAM_${toKebab(key).replaceAll('-', '_').toUpperCase()}`
}

function toKebab(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
