import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Listener, Ports } from './ports.ts'

const SHIPPED = fileURLToPath(new URL('../../deploy/prometheus', import.meta.url))
const CUBE_OF = { emitter: '1', consumer: '2', server: '2', archive: '2', display: '2' } as const
export const SCRAPED = Object.keys(CUBE_OF) as readonly (keyof typeof CUBE_OF)[]

/** The shipped configuration and rules, with these ports as targets. */
export function writePrometheusFolder(folder: string, ports: Ports): void {
  const own = join(folder, 'prometheus')
  mkdirSync(join(own, 'targets'), { recursive: true })
  cpSync(join(SHIPPED, 'prometheus.yml'), join(own, 'prometheus.yml'))
  cpSync(join(SHIPPED, 'rules'), join(own, 'rules'), { recursive: true })
  // JSON is YAML.
  const self = [{ targets: [`127.0.0.1:${ports.prometheus}`] }]
  writeFileSync(join(own, 'targets', 'prometheus.yml'), JSON.stringify(self))
  writeTargets(folder, ports, SCRAPED)
}

/** Sets the processes that Prometheus scrapes. A process that has finished its work must not raise an alert. */
export function writeTargets(folder: string, ports: Ports, parts: readonly (keyof typeof CUBE_OF)[]): void {
  const list = parts.map((part: Listener & keyof typeof CUBE_OF) => ({
    targets: [`127.0.0.1:${ports[part]}`],
    labels: { cube: CUBE_OF[part], part },
  }))
  writeFileSync(join(folder, 'prometheus', 'targets', 'nustream.yml'), JSON.stringify(list))
}

export function prometheusCommand(folder: string, port: number): string[] {
  const program = findProgram('prometheus')
  const own = join(folder, 'prometheus')
  const flags = [
    `--config.file=${join(own, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(own, 'data')}`,
    '--storage.tsdb.retention.time=15d',
    `--web.listen-address=127.0.0.1:${port}`,
    '--log.level=warn',
  ]
  // Debian's Prometheus needs the path of its web pages if it was unpacked and not installed.
  const pages = resolve(program, '../../share/prometheus/web')
  if (program.includes('.tools') && existsSync(pages)) flags.push(`--web.local-assets=${pages}/`)
  return [program, ...flags]
}

/** @throws Error if it is not on the PATH */
function findProgram(name: string): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const path = folders.map((folder) => join(folder, name)).find((candidate) => existsSync(candidate))
  if (path === undefined) throw new Error(`${name} is missing; \`npm run cubes\` fetches it on Debian`)
  return path
}
