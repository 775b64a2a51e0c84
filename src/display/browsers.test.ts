import { EventEmitter } from 'node:events'
import { Registry } from 'prom-client'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Browsers, type Outlet, WAITING_BYTES_MAX } from './browsers.ts'
import type { StreamMessages } from './messages.ts'
import { displayMetrics } from './metrics.ts'

/** A connection that reads nothing while it is `stuck`. */
class FakeOutlet extends EventEmitter {
  isStuck = false
  isDestroyed = false
  written: string[] = []
  waiting: string[] = []

  get writableLength(): number {
    return this.waiting.reduce((sum, text) => sum + text.length, 0)
  }
  write(bytes: unknown): boolean {
    ;(this.isStuck ? this.waiting : this.written).push(String(bytes))
    return !this.isStuck
  }
  release(): void {
    this.isStuck = false
    this.written.push(...this.waiting.splice(0))
  }
  end(): this {
    this.emit('close')
    return this
  }
  destroy(): this {
    this.isDestroyed = true
    return this.end()
  }
  named(name: string): unknown[] {
    const blocks = this.written.join('').split('\n\n')
    return blocks
      .filter((block) => block.includes(`event: ${name}\n`))
      .map((block) => JSON.parse(block.slice(block.indexOf('data: ') + 6)))
  }
}

const HELLO = { service: 's', atMs: 1 }
const BIG: StreamMessages['dead-letters'] = {
  newest: [
    {
      id: '1',
      batchId: 'b',
      eventId: null,
      code: 'c',
      message: 'x'.repeat(100_000),
      attempts: 1,
      events: 1,
      diedAtMs: 1,
    },
  ],
}

function open() {
  const registry = new Registry()
  const browsers = new Browsers(displayMetrics(registry), 3)
  const add = () => {
    const outlet = new FakeOutlet()
    browsers.add(outlet as unknown as Outlet, HELLO)
    return outlet
  }
  return { browsers, add, registry }
}

afterEach(() => void vi.useRealTimers())

describe('Browsers', () => {
  it('greets each browser and sends every message to all', () => {
    const { browsers, add } = open()
    const [a, b] = [add(), add()]
    browsers.send('hello', { service: 't', atMs: 2 })
    for (const outlet of [a, b]) expect(outlet.named('hello')).toEqual([HELLO, { service: 't', atMs: 2 }])
  })

  it('bounds the bytes that wait for a stuck browser, without effect on others', () => {
    const { browsers, add } = open()
    const [slow, quick] = [add(), add()]
    slow.isStuck = true
    for (let i = 0; i < 200; i++) browsers.send('dead-letters', BIG)
    expect(slow.writableLength).toBeLessThan(WAITING_BYTES_MAX + 200_000)
    expect(quick.named('dead-letters')).toHaveLength(200)
  })

  it('tells a slow browser how many messages it missed before it sends the next', () => {
    const { browsers, add } = open()
    const slow = add()
    for (const round of [1, 2]) {
      slow.isStuck = true
      for (let i = 0; i < 100; i++) browsers.send('dead-letters', BIG)
      slow.release()
      browsers.send('hello', { service: `round ${round}`, atMs: 2 })
      const dropped = slow.named('dropped') as StreamMessages['dropped'][]
      expect(dropped).toHaveLength(round)
      const total = dropped.reduce((sum, { messages }) => sum + messages, 0)
      expect(dropped.at(-1)?.total).toBe(total)
      expect(slow.named('dead-letters').length + total).toBe(100 * round)
    }
  })

  it('disconnects a browser that reads nothing for a minute', () => {
    vi.useFakeTimers()
    const { browsers, add } = open()
    const slow = add()
    slow.isStuck = true
    for (let i = 0; i < 70 && !slow.isDestroyed; i++) {
      for (let n = 0; n < 20; n++) browsers.send('dead-letters', BIG)
      vi.advanceTimersByTime(1_000)
    }
    expect(slow.isDestroyed).toBe(true)
    expect(browsers.count).toBe(0)
  })

  it('counts the connected browsers and is full at its limit', async () => {
    const { browsers, add, registry } = open()
    const all = [add(), add(), add()]
    expect(browsers.isFull).toBe(true)
    all[0].end()
    expect(browsers.isFull).toBe(false)
    expect(await registry.getSingleMetricAsString('nustream_display_browsers')).toMatch(/ 2$/)
    browsers.close()
    expect(browsers.count).toBe(0)
  })
})
