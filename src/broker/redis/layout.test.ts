import { describe, expect, it } from 'vitest'
import { partitionKeys, readEntries, toDelivery, toDeliveryId, toLease } from './layout.ts'

describe('a delivery id', () => {
  it.each(['c1', 'host/pod-1', ''])('names its lease whatever the consumer is called: "%s"', (consumer) => {
    const lease = { partition: 2, entryId: '1700000000000-7', attempt: 3, counted: 256, consumer }
    expect(toLease(toDeliveryId(lease))).toEqual(lease)
  })
})

describe('readEntries()', () => {
  it('leaves out deleted entries and invalid replies', () => {
    const entry = [Buffer.from('1-0'), [Buffer.from('batch'), Buffer.from('x')]]
    expect(readEntries([entry, [Buffer.from('2-0'), null], null]).map(({ id }) => id)).toEqual(['1-0'])
    expect(readEntries(null)).toEqual([])
  })
})

describe('toDelivery()', () => {
  it.each(['-5', '1e400', 'many', '', '9007199254740993'])('takes "%s" events for unknown', (events) => {
    const fields = new Map([['events', Buffer.from(events)]])
    expect(toDelivery({ id: '1700000000000-0', fields }, 0, 1, 'c').events).toBe(0)
  })
})

describe('partitionKeys()', () => {
  it('puts all keys of a partition into one slot, and partitions apart', () => {
    const tags = (partition: number) =>
      Object.values(partitionKeys('nustream', partition)).map((key) => /\{(.*?)\}/.exec(key)?.[1])
    expect(new Set(tags(0))).toEqual(new Set(['p0']))
    expect(new Set(tags(1))).toEqual(new Set(['p1']))
    expect(partitionKeys('nustream', 0).batches).toBe('nustream:{p0}:batches')
  })
})
