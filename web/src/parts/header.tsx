import { formatCount } from '../format.ts'
import { usePage } from '../page-context.ts'
import type { Connection } from '../state.ts'
import { useStore } from '../store.ts'

const WORDS: Readonly<Record<Connection, string>> = {
  connecting: 'connecting',
  live: 'live',
  lost: 'connection lost, retrying',
  refused: 'token required',
}

export function Header() {
  const page = usePage()
  const state = useStore(page.stream, (value) => value)
  const account = state.strips.at(-1)?.account
  const model = state.events.at(-1)?.prediction
  // Before the first look of the service (0) nothing is known of the broker.
  const isStale = state.connection === 'live' && !state.health.brokerUp && state.health.atMs > 0
  return (
    <header className="header">
      <h1 className="wordmark">
        <svg viewBox="0 0 24 24" aria-hidden="true" className="wordmark-sign">
          <path d="M4.5 19.5 19 5m0 0h-6.5M19 5v6.5" />
          <circle cx="8" cy="9" r="1.6" />
          <circle cx="14.5" cy="15.5" r="2.2" />
        </svg>
        nustream
      </h1>
      <p className={`connection is-${isStale ? 'lost' : state.connection}`} role="status">
        <i aria-hidden="true" />
        {isStale ? 'the broker does not answer: all values are stale' : WORDS[state.connection]}
      </p>
      <dl className="account" aria-label="Account of the stream">
        <Count name="emitted" value={account?.emitted} />
        <Count name="predicted" value={account?.predicted} />
        <Count name="dead letters" value={account?.deadLettered} />
        <Count name="waiting" value={account?.waiting} />
      </dl>
      {model && (
        <p className="model">
          <span className="quiet">model</span> {model.model}{' '}
          <span className="quiet">{model.modelVersion}</span>
        </p>
      )}
      <button type="button" className="button is-small" onClick={() => page.isHelpOpen.set(true)}>
        Keys
      </button>
    </header>
  )
}

function Count({ name, value }: { readonly name: string; readonly value: number | undefined }) {
  return (
    <div className={name === 'dead letters' && value ? 'has-some' : ''}>
      <dt>{name}</dt>
      <dd data-account={name}>{value === undefined ? '–' : formatCount(value)}</dd>
    </div>
  )
}
