import { expect, it } from 'vitest'
import { CAUSES } from '../../tools/alarms/causes.ts'
import { tryCause } from '../../tools/alarms/run.ts'
import { readRules } from '../support/prometheus-files.ts'

/** Tried here because they take a minute at most; `npm run alarms` tries all. */
const QUICK = ['consumer-gone', 'redis-killed', 'redis-full', 'source-silent', 'bad-events']

it.each(CAUSES.filter(({ name }) => QUICK.includes(name)))(
  'when $what, $alerts fire and clear on a real Prometheus',
  async (cause) => {
    for (const { alert, firedAfter, clearedAfter } of await tryCause(cause)) {
      expect(firedAfter, `${alert} fired`).toBeDefined()
      expect(clearedAfter, `${alert} cleared`).toBeDefined()
    }
  },
)

it('every alert has one cause', () => {
  const alerts = readRules().flatMap(({ alert }) => (alert === undefined ? [] : [alert]))
  expect(CAUSES.flatMap((cause) => cause.alerts).toSorted()).toEqual(alerts.toSorted())
})
