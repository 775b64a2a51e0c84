import { describe, expect, it } from 'vitest'
import {
  advance,
  atSpeed,
  chosen,
  following,
  HOLD_MS,
  isDue,
  movedTo,
  PLAY_MS,
  PLAYER_AT_START,
  SPEEDS,
  stepped,
  toggled,
} from './player.ts'

describe('advance()', () => {
  it('plays an event in its time, then holds it until the next is due', () => {
    const half = advance(PLAYER_AT_START, PLAY_MS / 2, false)
    expect(half.share).toBeCloseTo(0.5)
    const end = advance(half, PLAY_MS / 2, false)
    expect(end.share).toBe(1)
    expect(isDue(end, false)).toBe(false)
    expect(isDue(advance(end, HOLD_MS, false), false)).toBe(true)
  })

  it('goes faster and slower', () => {
    expect(advance(atSpeed(PLAYER_AT_START, 1), PLAY_MS / 4, false).share).toBeCloseTo(0.5)
    expect(advance(atSpeed(PLAYER_AT_START, -1), PLAY_MS / 4, false).share).toBeCloseTo(0.125)
  })

  it('stands still while paused', () => {
    const paused = toggled(advance(PLAYER_AT_START, 100, false))
    expect(advance(paused, 10_000, false)).toBe(paused)
  })

  it('with reduced motion, shows the whole event at once for its playing time', () => {
    const shown = advance(PLAYER_AT_START, 16, true)
    expect(shown.share).toBe(1)
    expect(isDue(advance(shown, HOLD_MS, true), true)).toBe(false)
    expect(isDue(advance(shown, HOLD_MS + PLAY_MS, true), true)).toBe(true)
  })

  it('stops at the end of an event that the user chose', () => {
    const end = advance(chosen(PLAYER_AT_START), 2 * PLAY_MS, false)
    expect(end).toMatchObject({ share: 1, isPlaying: false, isFollowing: false })
    expect(isDue(advance(end, 60_000, false), false)).toBe(false)
  })
})

describe('toggled()', () => {
  it('pauses and continues from there', () => {
    const paused = toggled(advance(PLAYER_AT_START, 1_000, false))
    expect(paused.isPlaying).toBe(false)
    expect(toggled(paused)).toMatchObject({ isPlaying: true, share: paused.share })
  })

  it('plays a finished event again', () => {
    const end = advance(chosen(PLAYER_AT_START), 2 * PLAY_MS, false)
    expect(toggled(end)).toMatchObject({ isPlaying: true, share: 0 })
  })
})

describe('stepped() and movedTo()', () => {
  it('move the clock within the event and stop it', () => {
    const on = stepped(PLAYER_AT_START, 1)
    expect(on.isPlaying).toBe(false)
    expect(on.share).toBeGreaterThan(0)
    expect(stepped(on, -1).share).toBe(0)
    expect(stepped(on, -5).share).toBe(0)
    expect(movedTo(on, 3).share).toBe(1)
  })
})

describe('atSpeed()', () => {
  it('stays within the available speeds', () => {
    const fastest = SPEEDS.reduce((player) => atSpeed(player, 1), PLAYER_AT_START)
    expect(fastest.speed).toBe(SPEEDS.at(-1))
    expect(SPEEDS.reduce((player) => atSpeed(player, -1), fastest).speed).toBe(SPEEDS[0])
  })
})

describe('following()', () => {
  it('continues by itself', () => {
    expect(following(toggled(chosen(PLAYER_AT_START)))).toMatchObject({ isFollowing: true, isPlaying: true })
  })
})
