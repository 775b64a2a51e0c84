import { readFileSync } from 'node:fs'

export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version: unknown }).version)
}

const NODE_MAJOR_MIN = 24

/** The problem with the running Node version, if any: npm only warns when the version is too old. */
export function nodeProblem(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= NODE_MAJOR_MIN) return undefined
  return `Node ${version} is too old; nustream needs Node ${NODE_MAJOR_MIN} or later`
}
