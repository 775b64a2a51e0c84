import { formatAge } from '../format.ts'
import { usePage } from '../page-context.ts'
import { useStore } from '../store.ts'

/** Events without a direction, each with its reason. */
export function DeadLettersTable() {
  const page = usePage()
  const letters = useStore(page.stream, (state) => state.deadLetters.newest)
  const nowMs = useStore(page.nowMs, (value) => value)
  if (letters.length === 0) return <p className="empty">No dead letters: every event got its direction.</p>
  return (
    <table className="letters">
      <thead>
        <tr>
          <th scope="col">Event</th>
          <th scope="col">Age</th>
          <th scope="col">Tried</th>
          <th scope="col">Reason</th>
        </tr>
      </thead>
      <tbody>
        {letters.map((letter) => (
          <tr key={letter.id}>
            <th scope="row">{letter.eventId ?? `batch of ${letter.events}`}</th>
            <td>{formatAge(nowMs - letter.diedAtMs)}</td>
            <td>{letter.attempts}</td>
            <td>
              <code>{letter.code}</code> {letter.message}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
