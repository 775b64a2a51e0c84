const LINE = 110

/** JSON for people: indented, but arrays of numbers and objects that fit stay on one line. */
export function formatJson(value: unknown, indent = ''): string {
  const flat = toLine(value)
  if (typeof value !== 'object' || value === null || indent.length + flat.length <= LINE) return flat
  if (Array.isArray(value) && value.every((item) => typeof item === 'number')) return flat
  const inner = `${indent}  `
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  const lines = Array.isArray(value)
    ? value.map((item) => formatJson(item, inner))
    : definedEntries(value).map(([key, item]) => `${JSON.stringify(key)}: ${formatJson(item, inner)}`)
  return `${open}\n${lines.map((line) => inner + line).join(',\n')}\n${indent}${close}`
}

function toLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toLine).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const pairs = definedEntries(value).map(([key, item]) => `${JSON.stringify(key)}: ${toLine(item)}`)
  return `{${pairs.join(', ')}}`
}

function definedEntries(value: object): [string, unknown][] {
  return Object.entries(value).filter(([, item]) => item !== undefined)
}
