import { usePage } from '../page-context.ts'
import { useStore } from '../store.ts'
import { EventFacts } from './event-facts.tsx'
import { Legend } from './legend.tsx'
import { PlaybackControls } from './playback-controls.tsx'
import { SceneView } from './scene-view.tsx'
import { Timeline } from './timeline.tsx'

/** The detector with the event, its time line and the controls. */
export function ScenePanel() {
  const page = usePage()
  const notice = useStore(page.notice, (value) => value)
  const isEmpty = useStore(page.playback.store, (state) => state.event === undefined)
  return (
    <section className="panel scene" aria-label="Event in the detector">
      <div className="stage">
        <SceneView />
        <EventFacts />
        <Legend />
        <p className="notice" role="status">
          {notice && (
            <span>
              {notice}
              <button type="button" aria-label="Dismiss" onClick={() => page.notice.set(undefined)}>
                ×
              </button>
            </span>
          )}
        </p>
        {isEmpty && <p className="waiting">waiting for the first event</p>}
      </div>
      <Timeline />
      <PlaybackControls />
    </section>
  )
}
