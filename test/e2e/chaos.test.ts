import { describe, expect, it } from 'vitest'
import { runChaos } from '../../tools/trials/chaos.ts'

const EVENTS = 20_000
const KILLS = 22

describe('every event is predicted exactly once or dead-lettered with a reason', () => {
  it.concurrent.each(['redis', 'sqlite'] as const)(
    'while the parts around %s are killed at random',
    async (broker) => {
      const seed = Math.floor(Math.random() * 1e9)
      // The seed is what repeats a failure.
      const report = (line: string) => void process.stdout.write(`${line}\n`)
      const result = await runChaos({ broker, kills: KILLS, events: EVENTS, seed, report })
      const kills = Object.values(result.kills).reduce((sum, count) => sum + count, 0)
      expect(kills).toBeGreaterThanOrEqual(20)
      expect(result.predictedTwice).toEqual([])
      expect(result.lost).toBe(0)
      expect(result.predictedOnce + result.deadLetters.length).toBe(EVENTS)
      expect(result.totals).toMatchObject({ emitted: EVENTS, predicted: result.predictedOnce })
      for (const letter of result.deadLetters) expect(letter.message).not.toBe('')
    },
  )
})
