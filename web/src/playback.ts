import type { DrawnEvent } from '../../src/display/messages.ts'
import {
  advance,
  atSpeed,
  chosen,
  following,
  isDue,
  movedTo,
  PLAYER_AT_START,
  type Player,
  restarted,
  stepped,
  toggled,
} from './player.ts'
import { buildScene, type Scene } from './scene.ts'
import { Store } from './store.ts'

export interface PlaybackState {
  readonly player: Player
  /** The drawn event. */
  readonly event: DrawnEvent | undefined
  readonly scene: Scene | undefined
}

/** Decides which event is drawn and at which time, from the clock, the user and the stream. */
export class Playback {
  readonly store = new Store<PlaybackState>({ player: PLAYER_AT_START, event: undefined, scene: undefined })
  /** The next event: the one with the most pulses among those that arrived since the last change. */
  #next: DrawnEvent | undefined
  #isMotionReduced = false

  get isMotionReduced(): boolean {
    return this.#isMotionReduced
  }

  set isMotionReduced(isReduced: boolean) {
    this.#isMotionReduced = isReduced
  }

  get player(): Player {
    return this.store.get().player
  }

  /** Offers a new event. It is drawn at once if no event is drawn, otherwise after the current one has been shown. */
  offer(event: DrawnEvent): void {
    if (!this.#next || event.pulsesTotal >= this.#next.pulsesTotal) this.#next = event
    const { event: shown, player } = this.store.get()
    if (!shown && player.isFollowing) this.#show(event, restarted(player))
    else this.#moveOn()
  }

  /** Advances the time. */
  tick(elapsedMs: number): void {
    this.#setPlayer(advance(this.player, elapsedMs, this.#isMotionReduced))
    this.#moveOn()
  }

  choose(event: DrawnEvent): void {
    this.#show(event, chosen(this.player))
  }

  follow(): void {
    const player = following(this.player)
    if (this.#next) this.#show(this.#next, restarted(player))
    else this.#setPlayer(player)
  }

  /** Keeps the drawn event. */
  stopFollowing(): void {
    this.#setPlayer({ ...this.player, isFollowing: false })
  }

  toggle(): void {
    this.#setPlayer(toggled(this.player))
  }

  step(steps: number): void {
    this.#setPlayer(stepped(this.player, steps))
  }

  moveTo(share: number): void {
    this.#setPlayer(movedTo(this.player, share))
  }

  changeSpeed(change: number): void {
    this.#setPlayer(atSpeed(this.player, change))
  }

  #moveOn(): void {
    const { player } = this
    if (this.#next && isDue(player, this.#isMotionReduced)) this.#show(this.#next, restarted(player))
  }

  #show(event: DrawnEvent, player: Player): void {
    this.#next = undefined
    this.store.set({ event, player, scene: buildScene(event) })
  }

  #setPlayer(player: Player): void {
    const state = this.store.get()
    if (player !== state.player) this.store.set({ ...state, player })
  }
}
