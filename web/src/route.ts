const EVENT = /^#\/event\/([\w.~-]{1,128})$/

/** Key or id of the event in an address. */
export function eventOfHash(hash: string): string | undefined {
  return EVENT.exec(hash)?.[1]
}

export function hashOfEvent(key: string): string {
  return `#/event/${key}`
}
