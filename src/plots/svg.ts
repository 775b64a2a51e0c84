/** Attributes of an element; undefined ones are left out, numbers get two digits. */
export type Attributes = Readonly<Record<string, string | number | undefined>>

export function element(name: string, attributes: Attributes, content: readonly string[] = []): string {
  const written = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${typeof value === 'number' ? pixels(value) : escapeText(value)}"`],
  )
  const opening = `<${name}${written.join('')}`
  return content.length === 0 ? `${opening}/>` : `${opening}>${content.join('')}</${name}>`
}

export function text(words: string, attributes: Attributes): string {
  return element('text', attributes, [escapeText(words)])
}

/** Two decimals: enough for print, and few enough that files stay small and do not change with the last bit. */
export function pixels(value: number): string {
  return String(Math.round(value * 100) / 100)
}

export function escapeText(words: string): string {
  return words
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** Estimated width of text. Fonts differ, so the estimate is generous. */
export function textWidth(words: string, size: number): number {
  return words.length * size * 0.57
}
