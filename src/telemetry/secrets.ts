const MASKS: readonly (readonly [RegExp, string])[] = [
  // scheme://user:password@host; the user's name stays, it helps and is no secret
  [/([a-z][a-z0-9+.-]*:\/\/[^\s"/@:]*):[^\s"/@]*@/gi, '$1:***@'],
  [/(\bbearer\s+)[^\s"\\]+/gi, '$1***'],
  [/([?&](?:token|password|secret|key)=)[^&\s"\\]+/gi, '$1***'],
]

/** The same text without passwords in URLs, bearer tokens and secrets in query strings. For logs and error messages. */
export function maskSecrets(text: string): string {
  let masked = text
  for (const [pattern, replacement] of MASKS) masked = masked.replace(pattern, replacement)
  return masked
}
