import { ErrorReply } from 'redis'
import { OutOfTime } from '../../async/deadline.ts'
import { UnavailableError, type UsageCode, UsageError } from '../../errors.ts'
import type { RetryReason } from '../retry.ts'

/** First words of the error replies that are transient. */
const TRANSIENT = new Map<string, RetryReason>([
  ['LOADING', 'loading'],
  ['BUSY', 'busy'],
  ['TRYAGAIN', 'cluster'],
  ['CLUSTERDOWN', 'cluster'],
  ['MOVED', 'cluster'], // the link follows on the next try
  ['ASK', 'cluster'],
  ['MASTERDOWN', 'read_only'],
  ['READONLY', 'read_only'], // a fail-over: the link reconnects on the next try
  ['NOREPLICAS', 'replicas_missing'],
  ['OOM', 'out_of_memory'],
  ['MISCONF', 'disk'],
])

/** The step is done here and on too few replicas; the connection is well. */
export class ReplicasMissing extends UnavailableError {}

/** Why trying again may help; undefined for a refusal or a mistake that does not go away. */
export function retryReasonOf(error: unknown): RetryReason | undefined {
  if (error instanceof ErrorReply) {
    if (error.message.startsWith('ERR max number of clients')) return 'busy'
    return TRANSIENT.get(replyCode(error))
  }
  if (error instanceof Revoked) return 'unauthorized'
  if (error instanceof ReplicasMissing) return 'replicas_missing'
  if (error instanceof UnavailableError) return error.cause instanceof OutOfTime ? 'timeout' : 'unreachable'
  return error instanceof UsageError || isProgrammingError(error) ? undefined : 'unreachable'
}

/** First word of an error reply, or '' for any other error. */
export function replyCode(error: unknown): string {
  return error instanceof ErrorReply ? (error.message.split(' ', 1)[0] ?? '') : ''
}

/** The server refuses a login that it accepted before: its password is being changed. */
class Revoked extends UnavailableError {}

/**
 * A refusal that trying again does not help as a UsageError with the remedy; any other error as it is. `isOpen`: the
 * server has accepted this login before.
 */
export function explained(error: unknown, address: string, isOpen: boolean): unknown {
  const remedy = remedyOf(error, address)
  if (remedy === undefined) return error
  const [code, message] = remedy
  const isLogin = ['WRONGPASS', 'NOAUTH'].includes(replyCode(error))
  if (isOpen && isLogin) return new Revoked('broker_unreachable', message, { cause: error })
  return new UsageError(code, message, { cause: error })
}

type Remedy = readonly [UsageCode, string]

function remedyOf(error: unknown, at: string): Remedy | undefined {
  const message = textOf(error)
  switch (replyCode(error)) {
    case 'WRONGPASS':
      return ['unauthorized', `Redis at ${at} refuses this user or password; check both`]
    case 'NOAUTH':
      return ['unauthorized', `Redis at ${at} asks for a password; give one in the URL or the environment`]
    case 'NOPERM':
      return [
        'unauthorized',
        `Redis at ${at} lacks a permission for this user (${message}); see docs/brokers.md`,
      ]
    case 'WRONGTYPE':
      return [
        'broker_url_invalid',
        `a key of Redis at ${at} belongs to another program (${message}); choose another stream name`,
      ]
    case 'ERR':
      if (!/^ERR (AUTH|Client sent AUTH)/.test(message)) return undefined
      return ['unauthorized', `Redis at ${at} has no password set; take it out of the URL or set one there`]
    default:
      return tlsRemedy(error, at)
  }
}

function tlsRemedy(error: unknown, at: string): Remedy | undefined {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (/ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE)/.test(code)) {
    const remedy = 'give one that it trusts with --broker-cert and --broker-key'
    return ['broker_url_invalid', `Redis at ${at} asks for a client certificate (${code}); ${remedy}`]
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return ['broker_url_invalid', `the certificate of Redis at ${at} is for another host (${textOf(error)})`]
  if (!/CERT|SELF_SIGNED|ISSUER|VERIFY/.test(code)) return undefined
  const remedy = "name its authority's PEM file with --broker-ca"
  return ['broker_url_invalid', `the certificate of Redis at ${at} is not trusted (${code}); ${remedy}`]
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** A mistake of our own must not be tried for ever. */
function isProgrammingError(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
}
