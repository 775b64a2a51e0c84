/** A command of a key. */
export type Command =
  | 'toggle'
  | 'follow'
  | 'previous-event'
  | 'next-event'
  | 'step-back'
  | 'step-on'
  | 'slower'
  | 'faster'
  | 'turn-left'
  | 'turn-right'
  | 'turn-up'
  | 'turn-down'
  | 'zoom-in'
  | 'zoom-out'
  | 'reset-view'
  | 'help'

/** Keys of each command, as `KeyboardEvent.key` names them. */
const KEYS: Readonly<Record<Command, readonly string[]>> = {
  toggle: [' '],
  follow: ['f'],
  'previous-event': ['k'],
  'next-event': ['j'],
  'step-back': [','],
  'step-on': ['.'],
  slower: ['['],
  faster: [']'],
  'turn-left': ['ArrowLeft'],
  'turn-right': ['ArrowRight'],
  'turn-up': ['ArrowUp'],
  'turn-down': ['ArrowDown'],
  'zoom-in': ['+', '='],
  'zoom-out': ['-'],
  'reset-view': ['r'],
  help: ['?'],
}

const COMMANDS = new Map(
  Object.entries(KEYS).flatMap(([command, keys]) => keys.map((key) => [key, command as Command])),
)

/** Texts of the help, in this order. */
export const HELP: readonly { readonly keys: string; readonly does: string }[] = [
  { keys: 'Space', does: 'pause, continue, or play again' },
  { keys: ', .', does: 'step back and forward in the time of the event' },
  { keys: '[ ]', does: 'slower, faster' },
  { keys: 'J K', does: 'older event, newer event' },
  { keys: 'F', does: 'follow the newest events' },
  { keys: '← → ↑ ↓', does: 'turn the detector' },
  { keys: '+ −', does: 'zoom' },
  { keys: 'R', does: 'reset the view' },
  { keys: '?', does: 'this help' },
]

interface Press {
  readonly key: string
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly altKey: boolean
}

/** The command of a key press; undefined if the key belongs to the browser or to the focused element. */
export function commandOf(
  press: Press,
  focused: { readonly tag: string; readonly type?: string },
): Command | undefined {
  if (press.ctrlKey || press.metaKey || press.altKey) return undefined
  const command = COMMANDS.get(press.key.length === 1 ? press.key.toLowerCase() : press.key)
  if (!command || focused.tag === 'TEXTAREA' || focused.tag === 'SELECT') return undefined
  if (focused.tag === 'INPUT' && focused.type !== 'range') return undefined
  const isArrow = press.key.startsWith('Arrow')
  if (focused.tag === 'INPUT' && isArrow) return undefined
  if ((focused.tag === 'BUTTON' || focused.tag === 'A') && press.key === ' ') return undefined
  return command
}
