/**
 * The clock of the drawn event and the choice of what is drawn next, as plain data. `share` runs from 0 to 1 over the
 * event's window.
 */
export interface Player {
  /** Shows the newest events one after the other; false after the user chose one. */
  readonly isFollowing: boolean
  readonly isPlaying: boolean
  readonly share: number
  /** Time since the end of the event's window, ms; 0 before it. */
  readonly heldMs: number
  /** Factor on the normal speed. */
  readonly speed: number
}

export const SPEEDS = [0.25, 0.5, 1, 2, 4] as const
/** Playing time of an event's window at speed 1. */
export const PLAY_MS = 4_500
/** Time for which the complete event is shown before the next one, at speed 1. */
export const HOLD_MS = 1_500
/** Steps of the window when the user moves the time. */
export const STEPS = 50

export const PLAYER_AT_START: Player = { isFollowing: true, isPlaying: true, share: 0, heldMs: 0, speed: 1 }

/**
 * Advances the time. With reduced motion the complete event is shown at once, for its playing time. An event that the
 * user chose stops at its end.
 */
export function advance(player: Player, elapsedMs: number, isMotionReduced: boolean): Player {
  if (!player.isPlaying) return player
  const elapsed = elapsedMs * player.speed
  const playedMs = isMotionReduced ? PLAY_MS + elapsed : player.share * PLAY_MS + elapsed
  if (playedMs < PLAY_MS) return { ...player, share: playedMs / PLAY_MS, heldMs: 0 }
  const heldMs = player.heldMs + playedMs - PLAY_MS
  return { ...player, share: 1, heldMs, isPlaying: player.isFollowing }
}

/** True if the event has been shown long enough to be replaced by a newer one. */
export function isDue({ isFollowing, isPlaying, heldMs }: Player, isMotionReduced: boolean): boolean {
  return isFollowing && isPlaying && heldMs >= HOLD_MS + (isMotionReduced ? PLAY_MS : 0)
}

/** Starts another event from its beginning. */
export function restarted(player: Player): Player {
  return { ...player, share: 0, heldMs: 0 }
}

/** The user chose an event: it plays and stays. */
export function chosen(player: Player): Player {
  return { ...restarted(player), isFollowing: false, isPlaying: true }
}

export function following(player: Player): Player {
  return { ...player, isFollowing: true, isPlaying: true }
}

/** Pauses or continues; restarts an event that has ended. */
export function toggled(player: Player): Player {
  if (player.isPlaying) return { ...player, isPlaying: false }
  return player.share === 1 ? { ...restarted(player), isPlaying: true } : { ...player, isPlaying: true }
}

/** The user moves the time, which pauses it. */
export function movedTo(player: Player, share: number): Player {
  return { ...player, isPlaying: false, share: Math.min(1, Math.max(0, share)), heldMs: 0 }
}

export function stepped(player: Player, steps: number): Player {
  return movedTo(player, (Math.round(player.share * STEPS) + steps) / STEPS)
}

/** One step faster or slower, within `SPEEDS`. */
export function atSpeed(player: Player, change: number): Player {
  const at = SPEEDS.findIndex((speed) => speed >= player.speed)
  const next = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + change))]
  return { ...player, speed: next }
}
