import type { EventRow } from '../../src/display/messages.ts'
import { Playback } from './playback.ts'
import { eventOfHash, hashOfEvent } from './route.ts'
import { EMPTY_STATE, type StreamState } from './state.ts'
import { Store } from './store.ts'
import { Stream } from './stream.ts'

const CLOCK_MS = 1_000

/** The state of the page outside its components, and the connections between its parts. */
export class Page {
  readonly stream = new Store<StreamState>(EMPTY_STATE)
  readonly playback = new Playback()
  /** A notice that the user can dismiss; undefined without one. */
  readonly notice = new Store<string | undefined>(undefined)
  /** Time of the service, Unix ms, updated once a second. */
  readonly nowMs = new Store(Date.now())
  readonly isHelpOpen = new Store(false)
  /** Rows as the table shows them, newest first; previous and next move along them. */
  readonly rows = new Store<readonly EventRow[]>([])
  readonly #source: Stream
  #offered: string | undefined

  constructor() {
    this.#source = new Stream({
      api: new URL('api/', document.baseURI).href,
      openSource: (url) => new EventSource(url),
      fetch: (url, init) => fetch(url, init),
      now: () => Date.now(),
      onState: (state) => this.#heard(state),
    })
  }

  open(): void {
    const reduced = matchMedia('(prefers-reduced-motion: reduce)')
    const follow = () => {
      this.playback.isMotionReduced = reduced.matches
    }
    reduced.addEventListener('change', follow)
    follow()
    setInterval(() => this.nowMs.set(Date.now() + this.stream.get().clockAheadMs), CLOCK_MS)
    addEventListener('hashchange', () => this.#openNamed())
    this.#openNamed()
    this.#source.open()
  }

  /** Draws an event and puts it into the address, which can be shared. */
  choose(key: string): void {
    const hash = hashOfEvent(key)
    if (location.hash === hash) this.#openNamed()
    else location.hash = hash
  }

  follow(): void {
    this.notice.set(undefined)
    history.replaceState(undefined, '', location.pathname + location.search)
    this.playback.follow()
  }

  /** 1: the row below in the table, -1: the one above. */
  chooseNext(step: 1 | -1): void {
    const rows = this.rows.get()
    const at = rows.findIndex((row) => row.key === this.playback.store.get().event?.key)
    const next = rows[at < 0 ? 0 : at + step]
    if (next) this.choose(next.key)
  }

  giveToken(token: string): Promise<string | undefined> {
    return this.#source.giveToken(token)
  }

  #openNamed(): void {
    const key = eventOfHash(location.hash)
    if (key === undefined) return
    this.playback.stopFollowing()
    void this.#draw(key)
  }

  async #draw(key: string): Promise<void> {
    try {
      const event = await this.#source.event(key)
      // The user may have chosen another event meanwhile.
      if (eventOfHash(location.hash) !== key) return
      if (event) {
        this.notice.set(undefined)
        this.playback.choose(event)
      } else this.#notFound(key)
    } catch {
      if (this.stream.get().connection === 'refused') return
      this.notice.set('This event could not be fetched: the service does not answer.')
    }
  }

  #notFound(key: string): void {
    const { eventsMax } = this.stream.get().settings
    const id = key.split('~')[0]
    this.notice.set(`Event ${id} is not among the last ${eventsMax} that were sampled. Showing the newest.`)
    history.replaceState(undefined, '', location.pathname + location.search)
    this.playback.follow()
  }

  #heard(state: StreamState): void {
    const before = this.stream.get()
    this.stream.set(state)
    const newest = state.drawn.at(-1)
    if (newest && newest.key !== this.#offered) {
      this.#offered = newest.key
      this.playback.offer(newest)
    }
    const cameBack = state.connection === 'live' && before.connection !== 'live'
    // The address was opened before the token was given, or while the service was unreachable.
    if (cameBack && this.playback.store.get().event === undefined) this.#openNamed()
  }
}
