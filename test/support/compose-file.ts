import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const strings = z.array(z.string())

/** The allowed fields of a service: those that both Compose v2 and docker-compose 1.29 read. */
const serviceSchema = z.strictObject({
  extends: z.strictObject({ file: z.string().optional(), service: z.string() }).optional(),
  image: z.string().optional(),
  build: z.strictObject({ context: z.string(), args: z.record(z.string(), z.string()) }).optional(),
  command: strings.optional(),
  environment: z.record(z.string(), z.string()).optional(),
  volumes: strings.optional(),
  ports: strings.optional(),
  networks: z.record(z.string(), z.strictObject({ aliases: strings })).optional(),
  extra_hosts: strings.optional(),
  secrets: strings.optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.string() })).optional(),
  healthcheck: z
    .strictObject({
      test: strings,
      interval: z.string(),
      timeout: z.string(),
      start_period: z.string().optional(),
      retries: z.number(),
    })
    .optional(),
  read_only: z.boolean().optional(),
  tmpfs: strings.optional(),
  cap_drop: strings.optional(),
  cap_add: strings.optional(),
  security_opt: strings.optional(),
  mem_limit: z.string().optional(),
  pids_limit: z.number().optional(),
  restart: z.string().optional(),
  stop_grace_period: z.string().optional(),
  logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }).optional(),
})
export type Service = z.infer<typeof serviceSchema>

const fileSchema = z
  .strictObject({
    services: z.record(z.string(), serviceSchema),
    secrets: z.record(z.string(), z.strictObject({ file: z.string() })).default({}),
    volumes: z.record(z.string(), z.null()).default({}),
  })
  .readonly()
export type ComposeFile = z.infer<typeof fileSchema>

/** A Compose file with extended services, and variables from `env` or their defaults. @throws ZodError */
export function readCompose(path: string, env: Readonly<Record<string, string>> = {}): ComposeFile {
  const content = substituted(parse(readFileSync(path, 'utf8'), { merge: true }), env) as object
  const known = Object.entries(content).filter(([key]) => !key.startsWith('x-'))
  const file = fileSchema.parse(Object.fromEntries(known))
  const services = Object.entries(file.services).map(([name, service]) => {
    return [name, extended(service, path, file, env)] as const
  })
  return { ...file, services: Object.fromEntries(services) }
}

function extended(
  service: Service,
  path: string,
  file: ComposeFile,
  env: Readonly<Record<string, string>>,
): Service {
  if (!service.extends) return service
  const { file: other, service: name } = service.extends
  const base = other
    ? readCompose(join(dirname(path), other), env).services[name]
    : extended(file.services[name], path, file, env)
  const { extends: _, ...own } = service
  return { ...base, ...own, environment: { ...base.environment, ...own.environment } }
}

/** `${NAME:-default}` and `${NAME:?message}`, the two forms that both programs support, in every text of a tree. */
function substituted(tree: unknown, env: Readonly<Record<string, string>>): unknown {
  if (typeof tree === 'string') return substitute(tree, env)
  if (Array.isArray(tree)) return tree.map((item) => substituted(item, env))
  if (typeof tree !== 'object' || tree === null) return tree
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, substituted(value, env)]))
}

function substitute(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\{(\w+)(:-|:\?)([^}]*)\}/g, (_, name: string, form: string, rest: string) => {
    const value = env[name]
    if (value !== undefined && value !== '') return value
    if (form === ':?') throw new Error(`${name}: ${rest}`)
    return rest
  })
}
