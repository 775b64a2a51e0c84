import { describe, expect, it } from 'vitest'
import { exampleEvent } from './example-events.ts'
import { Playback } from './playback.ts'
import { HOLD_MS, PLAY_MS } from './player.ts'

function event(key: string, pulses = 1) {
  return exampleEvent({
    key,
    hits: Array.from({ length: pulses }, (_, id) => ({ id, timeNs: id, charge: 1 })),
  })
}

function shown(playback: Playback) {
  return playback.store.get().event?.key
}

describe('Playback', () => {
  it('draws the first event at once and the next when it is due', () => {
    const playback = new Playback()
    playback.offer(event('1'))
    expect(shown(playback)).toBe('1')
    playback.offer(event('2'))
    playback.tick(PLAY_MS)
    expect(shown(playback)).toBe('1')
    playback.tick(HOLD_MS)
    expect(shown(playback)).toBe('2')
    expect(playback.player.share).toBe(0)
  })

  it('continues with the brightest event that has arrived', () => {
    const playback = new Playback()
    playback.offer(event('1'))
    for (const next of [event('2', 3), event('3', 9), event('4', 2)]) playback.offer(next)
    playback.tick(PLAY_MS)
    playback.tick(HOLD_MS)
    expect(shown(playback)).toBe('3')
  })

  it('keeps a chosen event until it is told to follow', () => {
    const playback = new Playback()
    playback.offer(event('1'))
    playback.choose(event('old'))
    playback.offer(event('2'))
    playback.tick(10 * PLAY_MS)
    expect(shown(playback)).toBe('old')
    playback.follow()
    expect(shown(playback)).toBe('2')
  })

  it('keeps the drawn event while it is paused', () => {
    const playback = new Playback()
    playback.offer(event('1'))
    playback.toggle()
    playback.offer(event('2'))
    playback.tick(10 * PLAY_MS)
    expect(shown(playback)).toBe('1')
  })

  it('waits for a requested event and draws no other', () => {
    const playback = new Playback()
    playback.stopFollowing()
    playback.offer(event('1'))
    expect(shown(playback)).toBeUndefined()
  })

  it('reports only changes', () => {
    const playback = new Playback()
    playback.offer(event('1'))
    playback.toggle()
    let told = 0
    playback.store.subscribe(() => told++)
    playback.tick(100)
    expect(told).toBe(0)
  })
})
