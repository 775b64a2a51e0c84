/** Writes the results of bench/results as tables into bench/README.md, so that no figure there is typed by hand. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

interface StoredResult {
  readonly question: string
  readonly command: string
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  readonly measuredAt: string
  readonly commit: string
  readonly machine: { readonly cores: number; readonly processor: string; readonly node: string }
}

const START = '<!-- results -->'
const page = fileURLToPath(new URL('README.md', import.meta.url))
const results = fileURLToPath(new URL('results', import.meta.url))

function toSection(file: string): string {
  const result = JSON.parse(readFileSync(`${results}/${file}`, 'utf8')) as StoredResult
  const keys = Object.keys(result.rows[0] ?? {})
  const rows = result.rows.map((row) => `| ${keys.map((key) => String(row[key] ?? '')).join(' | ')} |`)
  const { machine } = result
  return [
    `### ${file.replace('.json', '')}`,
    `${result.question[0]?.toUpperCase()}${result.question.slice(1)}.`,
    [`| ${keys.join(' | ')} |`, `|${keys.map(() => '---').join('|')}|`, ...rows].join('\n'),
    `\`${result.command}\`, ${result.measuredAt.slice(0, 10)}, commit ${result.commit}, ${machine.cores} cores (${machine.processor}), Node ${machine.node}`,
  ].join('\n\n')
}

const files = readdirSync(results).filter((file) => file.endsWith('.json'))
const head = readFileSync(page, 'utf8').split(START)[0]
writeFileSync(page, `${head}${START}\n\n${files.sort().map(toSection).join('\n\n')}\n`)
console.log(`${files.length} results written into bench/README.md`)
