import type { PartHealth } from '../../../src/display/messages.ts'
import { formatBeat } from '../format.ts'
import { usePage } from '../page-context.ts'
import { useStore } from '../store.ts'
import { SCROLLING } from './scrolling.ts'

/** Every process that sends heartbeats, with the age of its last one. */
export function HealthPanel() {
  const page = usePage()
  const health = useStore(page.stream, (state) => state.health)
  const nowMs = useStore(page.nowMs, (value) => value)
  return (
    <section className="panel health" aria-labelledby="health-title">
      <header className="panel-head">
        <h2 id="health-title">Health</h2>
        <p className="quiet">
          {isOneProcess(health.parts) ? 'up: all roles in one process' : 'last heartbeat'}
        </p>
      </header>
      {health.parts.length === 0 && <p className="quiet">No process has sent a heartbeat yet.</p>}
      <ul {...SCROLLING} aria-labelledby="health-title">
        {health.parts.map((part) => (
          <li key={`${part.role} ${part.instance}`} className={part.alive ? 'is-alive' : 'is-silent'}>
            <i aria-hidden="true" />
            <b>{part.role}</b>
            <span className="quiet instance" title={part.instance}>
              {part.instance}
            </span>
            <span className="state">{part.alive ? '' : 'silent'}</span>
            <span className="age" title="age of the last heartbeat">
              {formatBeat(nowMs - part.beatAtMs)}
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** `nustream up` is emitter, consumer, model and display in one process with one heartbeat. */
function isOneProcess(parts: readonly PartHealth[]): boolean {
  return parts.length > 0 && parts.every(({ role }) => role === 'up')
}
