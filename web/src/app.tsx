import { useEffect } from 'react'
import { commandOf } from './keyboard.ts'
import type { Page } from './page.ts'
import { usePage } from './page-context.ts'
import { Header } from './parts/header.tsx'
import { HealthPanel } from './parts/health-panel.tsx'
import { Help } from './parts/help.tsx'
import { ListsPanel } from './parts/lists-panel.tsx'
import { ScenePanel } from './parts/scene-panel.tsx'
import { SkyPanel } from './parts/sky-panel.tsx'
import { Strips } from './parts/strips.tsx'
import { TokenForm } from './parts/token-form.tsx'
import { useStore } from './store.ts'

export function App() {
  const page = usePage()
  const connection = useStore(page.stream, (state) => state.connection)
  useEffect(() => listenForKeys(page), [page])
  return (
    <div className="page">
      <Header />
      {connection === 'refused' ? (
        <TokenForm />
      ) : (
        <main className="panels">
          <ScenePanel />
          <SkyPanel />
          <ListsPanel />
          <Strips />
          <HealthPanel />
        </main>
      )}
      <Help />
    </div>
  )
}

/** Handles the commands of the page; the scene handles those of its view. Returns a function that stops it. */
function listenForKeys(page: Page): () => void {
  const { playback } = page
  const onKey = (event: KeyboardEvent) => {
    const { target } = event
    const tag = target instanceof HTMLElement ? target.tagName : ''
    const type = target instanceof HTMLInputElement ? target.type : ''
    const command = page.isHelpOpen.get() ? undefined : commandOf(event, { tag, type })
    const does: Partial<Record<NonNullable<typeof command>, () => void>> = {
      toggle: () => playback.toggle(),
      follow: () => page.follow(),
      'previous-event': () => page.chooseNext(-1),
      'next-event': () => page.chooseNext(1),
      'step-back': () => playback.step(-1),
      'step-on': () => playback.step(1),
      slower: () => playback.changeSpeed(-1),
      faster: () => playback.changeSpeed(1),
      help: () => page.isHelpOpen.set(true),
    }
    const act = command && does[command]
    if (!act) return
    event.preventDefault()
    act()
  }
  addEventListener('keydown', onKey)
  return () => removeEventListener('keydown', onKey)
}
