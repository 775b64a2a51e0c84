import { memo, useEffect, useState } from 'react'
import type { EventRow } from '../../../src/display/messages.ts'
import { vmfRadius } from '../../../src/event/direction.ts'
import { formatAge, formatCount, formatDegrees } from '../format.ts'
import { usePage } from '../page-context.ts'
import { hashOfEvent } from '../route.ts'
import { useStore } from '../store.ts'

const ROWS_MAX = 50

/** Newest first. The rows stand still under the pointer, so that the intended row can be clicked. */
export function EventsTable() {
  const page = usePage()
  const events = useStore(page.stream, (state) => state.events)
  const shown = useStore(page.playback.store, (state) => state.event?.key)
  const nowMs = useStore(page.nowMs, (value) => value)
  const [held, setHeld] = useState<readonly EventRow[] | undefined>(undefined)
  const rows = held ?? events.slice(-ROWS_MAX).toReversed()
  useEffect(() => page.rows.set(rows), [page, rows])
  if (rows.length === 0) return <p className="empty">No event has been reconstructed yet.</p>
  return (
    <table
      className={held ? 'events is-held' : 'events'}
      onPointerEnter={() => setHeld(rows)}
      onPointerLeave={() => setHeld(undefined)}
    >
      <thead>
        <tr>
          <th scope="col">Event</th>
          <th scope="col">Age</th>
          <th scope="col">Pulses</th>
          <th scope="col">Zenith</th>
          <th scope="col">Azimuth</th>
          <th scope="col" title="radius that contains the true direction with a probability of 50 %">
            50 %
          </th>
          <th scope="col" title="angle between reconstructed direction and truth">
            Error
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Row
            key={row.key}
            row={row}
            isShown={row.key === shown}
            age={formatAge(nowMs - row.predictedAtMs)}
          />
        ))}
      </tbody>
    </table>
  )
}

const Row = memo(function Row({
  row,
  isShown,
  age,
}: {
  readonly row: EventRow
  readonly isShown: boolean
  readonly age: string
}) {
  const page = usePage()
  const { prediction, errorRad } = row
  return (
    <tr className={isShown ? 'is-shown' : ''} onClick={() => page.choose(row.key)}>
      <th scope="row">
        <a href={hashOfEvent(row.key)} aria-current={isShown} onClick={(event) => event.stopPropagation()}>
          {row.eventId}
        </a>
      </th>
      <td>{age}</td>
      <td>{formatCount(row.pulsesTotal)}</td>
      <td>{formatDegrees(prediction.zenith)}</td>
      <td>{formatDegrees(prediction.azimuth)}</td>
      <td>{prediction.kappa === null ? '–' : formatDegrees(vmfRadius(0.5, prediction.kappa))}</td>
      <td>{errorRad === null ? '–' : formatDegrees(errorRad)}</td>
    </tr>
  )
})
