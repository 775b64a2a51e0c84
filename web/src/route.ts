const EVENT = /^#\/event\/([\w.~-]{1,128})$/

/** Key or id of the event that an address names. */
export function eventOfHash(hash: string): string | undefined {
  return EVENT.exec(hash)?.[1]
}

export function hashOfEvent(key: string): string {
  return `#/event/${key}`
}
