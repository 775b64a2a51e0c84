import { ErrorReply } from 'redis'
import { UnavailableError, UsageError } from '../../errors.ts'

/** First words of the error replies that go away by themselves. */
const PASSING = new Set([
  'LOADING', // reading its data after a start
  'BUSY', // a slow script
  'TRYAGAIN', // a slot on its way to another node
  'CLUSTERDOWN',
  'MASTERDOWN',
  'MOVED', // the link follows on the next try
  'ASK',
  'READONLY', // a fail-over: the link reconnects on the next try
  'NOREPLICAS',
  'OOM', // drained by consuming
  'MISCONF', // cannot write its own disk
])

/** True for an error of the connection or a refusal that passes, so that trying again is right. */
export function isPassingRedisError(error: unknown): boolean {
  if (error instanceof UnavailableError) return true
  if (!(error instanceof ErrorReply)) return !(error instanceof UsageError) && !isProgrammingError(error)
  return PASSING.has(replyCode(error)) || error.message.startsWith('ERR max number of clients')
}

/** First word of an error reply, or '' for any other error. */
export function replyCode(error: unknown): string {
  return error instanceof ErrorReply ? (error.message.split(' ', 1)[0] ?? '') : ''
}

/** A refusal that no patience mends as a UsageError with the remedy; any other error as it is. */
export function explained(error: unknown, address: string): unknown {
  const remedy = remedyOf(error)
  if (remedy === undefined) return error
  return new UsageError(...remedy(address), { cause: error })
}

type Remedy = (
  address: string,
) => ConstructorParameters<typeof UsageError> extends [infer C, infer M, ...unknown[]] ? [C, M] : never

function remedyOf(error: unknown): Remedy | undefined {
  const message = error instanceof Error ? error.message : ''
  switch (replyCode(error)) {
    case 'WRONGPASS':
      return (at) => ['unauthorized', `Redis at ${at} refuses this user or password; check both`]
    case 'NOAUTH':
      return (at) => [
        'unauthorized',
        `Redis at ${at} asks for a password; give one in the URL or the environment`,
      ]
    case 'NOPERM':
      return (at) => [
        'unauthorized',
        `Redis at ${at} lacks a permission for this user (${message}); see docs/brokers.md`,
      ]
    case 'WRONGTYPE':
      return (at) => [
        'broker_url_invalid',
        `a key on ${at} belongs to another program; choose another stream name`,
      ]
    case 'ERR':
      if (!/^ERR (AUTH|Client sent AUTH)/.test(message)) return undefined
      return (at) => [
        'unauthorized',
        `Redis at ${at} has no password set; take it out of the URL or set one there`,
      ]
    default:
      return certificateRemedy(error)
  }
}

function certificateRemedy(error: unknown): Remedy | undefined {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!/CERT|SELF_SIGNED|ALTNAME|ISSUER/.test(code)) return undefined
  return (at) => [
    'broker_url_invalid',
    `the certificate of Redis at ${at} is not trusted (${code}); name its authority's PEM file`,
  ]
}

/** A mistake of our own must not be tried for ever. */
function isProgrammingError(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
}
