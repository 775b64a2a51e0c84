import { useState } from 'react'
import { formatCount } from '../format.ts'
import { usePage } from '../page-context.ts'
import { useStore } from '../store.ts'
import { DeadLettersTable } from './dead-letters-table.tsx'
import { EventsTable } from './events-table.tsx'
import { SCROLLING } from './scrolling.ts'

const TABS = ['events', 'dead-letters'] as const

/** Recent events, and events that could not be reconstructed. */
export function ListsPanel() {
  const page = usePage()
  const [tab, setTab] = useState<(typeof TABS)[number]>('events')
  const died = useStore(page.stream, (state) => state.strips.at(-1)?.account.deadLettered ?? 0)
  const dropped = useStore(page.stream, (state) => state.droppedMessages)
  const title = { events: 'Recent events', 'dead-letters': 'Dead letters' }
  return (
    <section className="panel lists" aria-label="Events and dead letters">
      <div className="tabs">
        <div role="tablist" aria-label="Lists">
          {TABS.map((each) => (
            <button
              key={each}
              type="button"
              role="tab"
              id={`tab-${each}`}
              aria-selected={tab === each}
              aria-controls={`list-${each}`}
              tabIndex={tab === each ? 0 : -1}
              onClick={() => setTab(each)}
              onKeyDown={({ key, currentTarget }) => {
                if (key !== 'ArrowLeft' && key !== 'ArrowRight') return
                const other = each === 'events' ? 'dead-letters' : 'events'
                setTab(other)
                currentTarget.parentElement?.querySelector<HTMLElement>(`#tab-${other}`)?.focus()
              }}
            >
              {title[each]}
              {each === 'dead-letters' && died > 0 && <span className="badge">{formatCount(died)}</span>}
            </button>
          ))}
        </div>
        <p className="sampling quiet">
          {dropped > 0
            ? `${formatCount(dropped)} messages skipped: this browser is too slow`
            : 'a sample; counts include all events'}
        </p>
      </div>
      <div className="list" role="tabpanel" id={`list-${tab}`} aria-labelledby={`tab-${tab}`} {...SCROLLING}>
        {tab === 'events' ? <EventsTable /> : <DeadLettersTable />}
      </div>
    </section>
  )
}
