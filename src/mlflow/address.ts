import { UsageError } from '../errors.ts'

export interface MlflowCredentials {
  /** Sent as a bearer token; wins over user and password. */
  readonly token?: string | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
}

/** Where a tracking server is and how it is to be asked. */
export interface MlflowAddress {
  /** Ends in a slash; holds no credentials. */
  readonly base: URL
  readonly authorization: string | undefined
  /** For messages and logs: without credentials. */
  readonly name: string
}

/**
 * Takes a tracking server's URL apart. User and password may stand in the URL; those given beside it win.
 * @throws UsageError `flag_invalid` when it is no http or https URL
 */
export function readMlflowUrl(url: string, credentials: MlflowCredentials = {}): MlflowAddress {
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new UsageError(
      'flag_invalid',
      `"${withoutCredentials(url)}" is no URL of an MLflow tracking server; it looks like http://127.0.0.1:5000`,
    )
  const { token } = credentials
  const user = credentials.user ?? decodeURIComponent(parsed.username)
  const password = credentials.password ?? decodeURIComponent(parsed.password)
  const base = new URL(parsed.pathname.replace(/\/*$/, '/'), parsed.origin)
  const basic = () => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const authorization = token ? `Bearer ${token}` : user !== '' ? basic() : undefined
  return { base, authorization, name: `MLflow at ${base.host}` }
}

function withoutCredentials(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//***@')
}
