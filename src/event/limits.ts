/** Bytes of a batch id or a run name in UTF-8: 1 to this many. */
export const NAME_BYTES_MAX = 512

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * What is wrong with a name that came as bytes (`batch_id`, a run), as the end of a sentence; undefined for a good one. A
 * name is never changed to make it fit: two different names would become one.
 */
export function faultOfName(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return 'is empty'
  if (bytes.length > NAME_BYTES_MAX) return `has ${bytes.length} bytes; at most ${NAME_BYTES_MAX} are allowed`
  try {
    utf8.decode(bytes)
    return undefined
  } catch {
    return 'is not UTF-8'
  }
}
