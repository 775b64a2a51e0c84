import { useEffect, useRef } from 'react'
import { HELP } from '../keyboard.ts'
import { usePage } from '../page-context.ts'
import { useStore } from '../store.ts'

export function Help() {
  const page = usePage()
  const isOpen = useStore(page.isHelpOpen, (value) => value)
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (isOpen) dialog.current?.showModal()
    else dialog.current?.close()
  }, [isOpen])
  return (
    <dialog
      ref={dialog}
      className="help"
      aria-labelledby="help-title"
      onClose={() => page.isHelpOpen.set(false)}
    >
      <h2 id="help-title">Keys</h2>
      <dl>
        {HELP.map(({ keys, does }) => (
          <div key={keys}>
            <dt>
              {keys.split(' ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p className="quiet">
        With the pointer: drag to turn, wheel to zoom, drag with the right button to move.
      </p>
      <button type="button" className="button" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  )
}
