/**
 * How many events per second does `nustream evaluate` process with the built-in line fit? On a shared machine, use the
 * CPU time: 100 µs per event is 10,000 events/s on one free core.
 */
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { answerEvents } from '../src/evaluation/evaluate.ts'
import { makeReport } from '../src/evaluation/report.ts'
import { openLocalModel } from '../src/inference/network/local.ts'
import { openSource } from '../src/source/open.ts'
import { simulatedDataSet } from './support/data-set.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '50000' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
  },
})
const folder = await simulatedDataSet(Number(values.events))
const { signal } = new AbortController()
await using inferrer = await openLocalModel('linefit', { threads: Number(values.threads) })

const rates: number[] = []
const reportMs: number[] = []
const coreMicros: number[] = []
let pulses = 0
for (let round = 0; round <= Number(values.rounds); round++) {
  const startedMs = performance.now()
  const before = process.cpuUsage()
  const { facts, answers } = await answerEvents({
    source: await openSource(`kaggle:${folder}`),
    inferrer,
    signal,
  })
  const answeredMs = performance.now()
  const { user, system } = process.cpuUsage(before)
  makeReport('bench', facts, [{ spec: 'linefit', answers }])
  pulses = facts.pulses.reduce((sum, each) => sum + each, 0) / facts.pulses.length
  // The first round warms the model and the file cache.
  if (round === 0) continue
  rates.push((facts.pulses.length / (answeredMs - startedMs)) * 1000)
  coreMicros.push((user + system) / facts.pulses.length)
  reportMs.push(performance.now() - answeredMs)
}

writeResult('evaluate', {
  question: 'events/s of nustream evaluate with the line fit, reading the data set included',
  command: `npm run bench -- evaluate --events ${values.events} --rounds ${values.rounds}`,
  parameters: { threads: Number(values.threads), pulsesPerEvent: Math.round(pulses) },
  rows: [
    {
      'events/s': Math.round(median(rates)),
      'least events/s': Math.round(Math.min(...rates)),
      'core µs an event': Math.round(median(coreMicros)),
      'load of the machine': Number(loadavg()[0].toFixed(1)),
      'ms for intervals and calibration': Math.round(median(reportMs)),
      'memory, MB': Math.round(process.resourceUsage().maxRSS / 1000),
      rounds: rates.length,
    },
  ],
})
