/** Longest text of a log field, in UTF-16 code units. */
export const LOG_FIELD_MAX = 256

/** The text, cut to `max` UTF-16 code units; a cut text ends with its own length. */
export function cutText(text: string, max = LOG_FIELD_MAX): string {
  if (text.length <= max) return text
  const isHalfPair = /[\uD800-\uDBFF]/.test(text.charAt(max - 1))
  return `${text.slice(0, isHalfPair ? max - 1 : max)}… (${text.length} characters)`
}

/**
 * The same text without passwords in URLs, bearer tokens and secrets in query strings. For logs and error messages.
 * A password may hold `/`, `@` and `:`, so everything between the first `:` of an address and the last `@` of its word
 * is masked; the user's name stays. Takes time in proportion to the length.
 */
export function maskSecrets(text: string): string {
  let masked = maskPasswords(text)
  for (const [pattern, replacement] of MASKS) masked = masked.replace(pattern, replacement)
  return masked
}

const MASKS: readonly (readonly [RegExp, string])[] = [
  [/(\bbearer\s+)[^\s"\\]+/gi, '$1***'],
  [/([?&](?:token|password|secret|key)=)[^&\s"\\]+/gi, '$1***'],
]

const SLASHES = '://'

function maskPasswords(text: string): string {
  let masked = ''
  let done = 0
  for (let at = text.indexOf(SLASHES); at !== -1; at = text.indexOf(SLASHES, done)) {
    const start = at + SLASHES.length
    const end = endOfWord(text, start)
    const word = text.slice(start, end)
    const colon = word.indexOf(':')
    const lastAt = word.lastIndexOf('@')
    const hasPassword = colon !== -1 && colon < lastAt
    masked += text.slice(done, start)
    masked += hasPassword ? `${word.slice(0, colon)}:***${word.slice(lastAt)}` : word
    done = end
  }
  return masked + text.slice(done)
}

/** Where a word ends: at white space or a quote. A quote behind a backslash belongs to the word, as in JSON. */
function endOfWord(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const character = text[at]
    if (character === '"' && text[at - 1] !== '\\') return at
    if (character === ' ' || character === '\n' || character === '\t' || character === '\r') return at
  }
  return text.length
}
