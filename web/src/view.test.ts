import { describe, expect, it } from 'vitest'
import { dot, unit, type Vector } from './vector.ts'
import { eyeVector, HOME_VIEW, viewBetween, viewForTravel } from './view.ts'

/** Angle between a travel direction and the line of sight, degrees, 0 to 90. */
function endOn(view: typeof HOME_VIEW, travel: Vector): number {
  return (Math.acos(Math.min(1, Math.abs(dot(eyeVector(view), travel)))) * 180) / Math.PI
}

describe('viewForTravel()', () => {
  it('keeps a view from which the track is visible', () => {
    const aside: Vector = unit([-Math.sin(HOME_VIEW.turn), Math.cos(HOME_VIEW.turn), 0.2])
    expect(viewForTravel(HOME_VIEW, aside)).toBe(HOME_VIEW)
    expect(viewForTravel(HOME_VIEW, [0, 0, -1])).toBe(HOME_VIEW)
  })

  it('turns so that no horizontal track is seen end on', () => {
    for (let turn = 0; turn < 2 * Math.PI; turn += 0.1) {
      for (const height of [-0.5, 0, 0.5]) {
        const travel: Vector = unit([Math.cos(turn), Math.sin(turn), height])
        expect(endOn(viewForTravel(HOME_VIEW, travel), travel)).toBeGreaterThan(36)
      }
    }
  })

  it.each([-20, 20])('turns no further than necessary from a track at %d°', (offDegrees) => {
    const turn = HOME_VIEW.turn + (offDegrees * Math.PI) / 180
    const view = viewForTravel(HOME_VIEW, unit([Math.cos(turn), Math.sin(turn), 0]))
    expect(Math.abs(view.turn - HOME_VIEW.turn)).toBeLessThan((40 * Math.PI) / 180)
    expect(view.height).toBe(HOME_VIEW.height)
  })
})

describe('viewBetween()', () => {
  it('goes round the shorter side', () => {
    const from = { turn: 3, height: 0 }
    const to = { turn: -3, height: 0.4 }
    expect(viewBetween(from, to, 0)).toEqual(from)
    const half = viewBetween(from, to, 0.5)
    expect(Math.cos(half.turn)).toBeCloseTo(-1, 2)
    expect(half.height).toBeCloseTo(0.2)
    expect(Math.cos(viewBetween(from, to, 1).turn)).toBeCloseTo(Math.cos(-3), 12)
  })
})
