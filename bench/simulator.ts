import { Simulator } from '../src/simulator/simulate.ts'
import { median, writeResult } from './support/result.ts'

/** How many triggered events does one core simulate per second? Goal: 3,000. */
const EVENTS = 5000
const ROUNDS = 5

const simulator = new Simulator(1)
simulator.simulate(0, 1000)
const rounds = Array.from({ length: ROUNDS }, (_, round) => {
  const wallStart = performance.now()
  const cpuStart = process.cpuUsage()
  const batch = simulator.simulate(1000 + round * EVENTS, EVENTS)
  const { user, system } = process.cpuUsage(cpuStart)
  return {
    eventsPerSecond: (EVENTS / (performance.now() - wallStart)) * 1e3,
    eventsPerCpuSecond: (EVENTS / (user + system)) * 1e6,
    pulsesPerEvent: batch.times.length / EVENTS,
  }
})
const rates = rounds.map(({ eventsPerSecond }) => eventsPerSecond)

writeResult('simulator', {
  question: 'How many triggered events does one core simulate in a second?',
  command: 'npm run bench -- simulator',
  parameters: { seed: 1, eventsPerRound: EVENTS, rounds: ROUNDS },
  rows: [
    {
      eventsPerSecond: Math.round(median(rates)),
      slowest: Math.round(Math.min(...rates)),
      fastest: Math.round(Math.max(...rates)),
      eventsPerCpuSecond: Math.round(median(rounds.map(({ eventsPerCpuSecond }) => eventsPerCpuSecond))),
      pulsesPerEvent: Math.round(median(rounds.map(({ pulsesPerEvent }) => pulsesPerEvent))),
      wanted: 3000,
    },
  ],
})
