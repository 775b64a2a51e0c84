import { expect, it } from 'vitest'
import { shortenConfig, shortenRules } from './shortened.ts'

it.each([
  ['for: 2m', 'for: 12000ms'],
  ['rate(x_total[1m]) > 0', 'rate(x_total[6000ms]) > 0'],
  ['count_over_time((a > 0)[10m:1m])', 'count_over_time((a > 0)[60000ms:6000ms])'],
  ['max_over_time(x[1d] offset 10m)', 'max_over_time(x[8640000ms] offset 60000ms)'],
  ['nustream:events:rate1m > 30', 'nustream:events:rate1m > 30'],
  ["summary: 'waits for 2 minutes'", "summary: 'waits for 2 minutes'"],
])('shortenRules() makes of %s: %s', (text, shortened) => {
  expect(shortenRules(text)).toBe(shortened)
})

it('shortenConfig() shortens the scrape interval of Prometheus', () => {
  expect(shortenConfig('scrape_interval: 5s')).toBe('scrape_interval: 500ms')
})
