import type { ServerResponse } from 'node:http'
import type { StreamMessageName, StreamMessages } from './messages.ts'
import type { DisplayMetrics } from './metrics.ts'

/** Bytes that may wait for one browser. A message is not sent to a browser with more bytes waiting. */
export const WAITING_BYTES_MAX = 1024 * 1024
/** A browser that has read nothing for this long is disconnected; a live browser reconnects by itself. */
const STUCK_MS = 60_000
/** A browser waits this long before it connects again. */
const RETRY_MS = 1_000

/** The server's side of a browser's connection. */
export type Outlet = Pick<ServerResponse, 'write' | 'end' | 'destroy' | 'writableLength' | 'once'>

interface Browser {
  readonly outlet: Outlet
  /** Messages not sent since the last `dropped` message, and since the connection began. */
  dropped: number
  droppedTotal: number
  fullSinceMs: number | undefined
}

/**
 * All connected browsers. A message is serialised once and the same bytes go to all browsers. A slow browser loses
 * messages and is told how many; it does not delay the others.
 */
export class Browsers {
  readonly #browsers = new Set<Browser>()
  readonly #metrics: DisplayMetrics
  readonly #max: number

  constructor(metrics: DisplayMetrics, max: number) {
    this.#metrics = metrics
    this.#max = max
  }

  get isFull(): boolean {
    return this.#browsers.size >= this.#max
  }

  get count(): number {
    return this.#browsers.size
  }

  /** Adds a browser to which the response head has been sent, and sends its greeting. */
  add(outlet: Outlet, hello: StreamMessages['hello']): void {
    const browser: Browser = { outlet, dropped: 0, droppedTotal: 0, fullSinceMs: undefined }
    outlet.once('close', () => {
      this.#browsers.delete(browser)
      this.#metrics.browsers.set(this.#browsers.size)
    })
    this.#browsers.add(browser)
    this.#metrics.browsers.set(this.#browsers.size)
    outlet.write(`retry: ${RETRY_MS}\n`)
    this.#write(browser, encodeMessage('hello', hello))
  }

  send<Name extends StreamMessageName>(name: Name, message: StreamMessages[Name]): void {
    if (this.#browsers.size === 0) return
    const bytes = encodeMessage(name, message)
    for (const browser of this.#browsers) this.#offer(browser, bytes)
  }

  /** Ends all connections. */
  close(): void {
    for (const { outlet } of this.#browsers) outlet.end()
  }

  #offer(browser: Browser, bytes: Buffer): void {
    if (browser.outlet.writableLength > WAITING_BYTES_MAX) {
      this.#drop(browser)
      return
    }
    browser.fullSinceMs = undefined
    if (browser.dropped > 0) {
      const message = { messages: browser.dropped, total: browser.droppedTotal }
      browser.dropped = 0
      this.#write(browser, encodeMessage('dropped', message))
    }
    this.#write(browser, bytes)
  }

  #drop(browser: Browser): void {
    const nowMs = performance.now()
    browser.dropped++
    browser.droppedTotal++
    this.#metrics.messages.inc({ outcome: 'dropped' })
    browser.fullSinceMs ??= nowMs
    if (nowMs - browser.fullSinceMs > STUCK_MS) browser.outlet.destroy()
  }

  #write({ outlet }: Browser, bytes: Buffer): void {
    outlet.write(bytes)
    this.#metrics.messages.inc({ outcome: 'sent' })
  }
}

/** A server-sent event. JSON has no line breaks, so one line of data holds it. */
export function encodeMessage<Name extends StreamMessageName>(
  name: Name,
  message: StreamMessages[Name],
): Buffer {
  return Buffer.from(`event: ${name}\ndata: ${JSON.stringify(message)}\n\n`)
}
