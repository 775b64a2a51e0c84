import { expect, it } from 'vitest'
import { CAUSES } from '../../tools/alarms/causes.ts'
import { tryCause } from '../../tools/alarms/run.ts'
import { readRules } from '../support/prometheus-files.ts'

/** Tried here because they take a minute at most; `npm run alarms` tries all. */
const QUICK = ['consumer-gone', 'redis-killed', 'redis-full', 'source-silent', 'bad-events']

/** Alerts whose cause takes too long, or cannot be made on purpose, and why. */
const UNTRIED: Readonly<Record<string, string>> = {
  NustreamModelRefused: 'test/integration/mlflow-registry.test.ts holds its metric to a real registry',
  NustreamModelRegistryAway: 'test/integration/mlflow-registry.test.ts holds its metric to a real registry',
  NustreamMlflowBufferFull: 'fifty thousand points take five minutes',
  NustreamMlflowDropping: 'fifty thousand points take six minutes',
}

it.each(CAUSES.filter(({ name }) => QUICK.includes(name)))(
  'when $what, $alerts fire and clear on a real Prometheus',
  async (cause) => {
    for (const { alert, firedAfter, clearedAfter } of await tryCause(cause)) {
      expect(firedAfter, `${alert} fired`).toBeDefined()
      expect(clearedAfter, `${alert} cleared`).toBeDefined()
    }
  },
)

it('every alert has a cause that is tried, or a reason why not', () => {
  const tried = new Set(CAUSES.flatMap(({ alerts }) => alerts))
  const alerts = readRules().flatMap(({ alert }) => (alert === undefined ? [] : [alert]))
  expect(alerts.filter((alert) => !tried.has(alert)).toSorted()).toEqual(Object.keys(UNTRIED).toSorted())
  expect([...tried].filter((alert) => !alerts.includes(alert))).toEqual([])
})
