import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAst } from 'vite'
import { describe, expect, it } from 'vitest'

/**
 * Lengths of hostile texts, and the most time that one expression may take for one of them. The short ones come first,
 * because a quadratic expression cannot be stopped and takes hours for a megabyte.
 */
const LIMITS = [
  { length: 20_000, withinMs: 60 },
  { length: 1_000_000, withinMs: 1_000 },
] as const

interface Found {
  readonly pattern: string
  readonly flags: string
  readonly file: string
}

/** Every regular expression of the sources, from their syntax trees. */
function regularExpressions(): Found[] {
  const found = new Map<string, Found>()
  for (const file of sources()) {
    const lang = file.endsWith('x') ? 'tsx' : 'ts'
    for (const { pattern, flags } of literalsOf(parseAst(readFileSync(file, 'utf8'), { lang })))
      if (!found.has(pattern)) found.set(pattern, { pattern, flags, file })
  }
  return [...found.values()]
}

function sources(): string[] {
  return ['src', 'web/src'].flatMap((root) =>
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name) && !name.includes('.test.'))
      .map((name) => join(root, name)),
  )
}

function* literalsOf(node: unknown): Generator<{ pattern: string; flags: string }> {
  if (typeof node !== 'object' || node === null) return
  if ('regex' in node && typeof node.regex === 'object' && node.regex !== null) {
    // The literal of a regular expression, as ESTree defines it.
    yield node.regex as { pattern: string; flags: string }
    return
  }
  for (const child of Object.values(node)) yield* literalsOf(child)
}

const CHARACTERS = ['a', 'x', '0', 'A', '-', '.', '/', ' ', '\n', '\r', '–', '*', '?', '\uD800']

/** A text that a pattern matches: every group and every optional part once, of alternatives the longest. */
class SampleText {
  readonly #pattern: string
  #at = 0

  constructor(pattern: string) {
    this.#pattern = pattern
  }

  alternatives(): string {
    const texts = ['']
    while (this.#at < this.#pattern.length && this.#pattern[this.#at] !== ')') {
      if (this.#pattern[this.#at] === '|') {
        this.#at++
        texts.push('')
      } else texts[texts.length - 1] += this.#quantified()
    }
    return texts.reduce((longest, text) => (text.length > longest.length ? text : longest))
  }

  #quantified(): string {
    const text = this.#atom()
    const [quantifier = '', times = '1'] = this.#take(/^(?:[*+?]|\{(\d+)(?:,\d*)?\})\??/) ?? []
    return quantifier === '' ? text : text.repeat(Math.max(1, Number(times)))
  }

  #atom(): string {
    if (this.#take(/^\(/)) {
      const [kind = ''] = this.#take(/^\?(?:[:=!]|<[=!]|<\w+>)/) ?? []
      const text = this.alternatives()
      this.#at++
      return kind.includes('!') ? '' : text
    }
    const [atom = ''] = this.#take(/^(?:\[(?:\\.|[^\]\\])*\]|\\u[0-9A-Fa-f]{4}|\\.|.)/s) ?? []
    if (['^', '$', '\\b', '\\B'].includes(atom)) return ''
    const fits = new RegExp(`^(?:${atom})$`)
    const own = atom.startsWith('\\') ? atom.slice(1) : atom.replaceAll(/[\\[\]^]/g, '')
    return [...CHARACTERS, ...own].find((character) => fits.test(character)) ?? ''
  }

  #take(form: RegExp): RegExpExecArray | null {
    const match = form.exec(this.#pattern.slice(this.#at))
    this.#at += match?.[0].length ?? 0
    return match
  }
}

/**
 * Texts of a length that make a backtracking engine work the most: a beginning of a sample, a piece of it many times over,
 * and an end that does not fit.
 */
function* hostileTexts(sample: string, length: number): Generator<string> {
  for (let from = 0; from <= sample.length; from++) {
    for (let to = from + 1; to <= Math.min(sample.length, from + 3); to++) {
      const piece = sample.slice(from, to)
      const pumped = sample.slice(0, from) + piece.repeat(Math.ceil(length / piece.length))
      for (const end of ['\0', '\n']) yield pumped + end
    }
  }
}

/** The first hostile text, by its beginning, that takes the expression longer than its limit in each of three tries. */
function slowText({ pattern, flags }: Found, sample: string): string | undefined {
  const expression = new RegExp(pattern, flags)
  const takesMs = (text: string) => {
    const before = process.cpuUsage()
    // The sources look for every match of a global expression, and for the first of another.
    text.replace(expression, '')
    // Of this process, whatever else the machine does meanwhile.
    return process.cpuUsage(before).user / 1_000
  }
  for (const { length, withinMs } of LIMITS) {
    for (const text of hostileTexts(sample, length)) {
      const isSlow = [1, 2, 3].every(() => takesMs(text) > withinMs)
      if (isSlow) return `${JSON.stringify(text.slice(0, 60))}… of ${length} characters`
    }
  }
  return undefined
}

describe.each(regularExpressions())('/$pattern/ in $file', (expression) => {
  const sample = new SampleText(expression.pattern).alternatives()

  it('matches the text that this test makes of it', () => {
    expect(sample).toMatch(new RegExp(expression.pattern, expression.flags.replace('g', '')))
  })

  it('takes little time for a megabyte of hostile text', { timeout: 60_000 }, () => {
    expect(slowText(expression, sample)).toBeUndefined()
  })
})

it('every regular expression is a literal, so that this test finds it', () => {
  expect(sources().filter((file) => /\bRegExp\(/.test(readFileSync(file, 'utf8')))).toEqual([])
})
