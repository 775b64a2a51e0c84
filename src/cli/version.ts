import { readFileSync } from 'node:fs'

export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version: unknown }).version)
}

const NODE_MAJOR_MIN = 24

/** What is wrong with the Node that runs this, if anything: npm installs for any Node, with no more than a warning. */
export function nodeProblem(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= NODE_MAJOR_MIN) return undefined
  return `Node ${version} is too old; nustream needs Node ${NODE_MAJOR_MIN} or later`
}
