/** Reads a source in a separate process, like the emitter, and prints its cost as one JSON object. */
import { openSource } from '../../src/source/open.ts'

const [spec, resume] = process.argv.slice(2)
const startMs = performance.now()
const source = await openSource(spec)
const signal = new AbortController().signal
let firstMs = 0
let [events, pulses, rejected, largest] = [0, 0, 0, 0]
for await (const chunk of source.read({ eventsMax: 256, signal, ...(resume && { resume }) })) {
  if (firstMs === 0) firstMs = performance.now() - startMs
  const { offsets } = chunk.events
  events += offsets.length - 1
  pulses += offsets[offsets.length - 1]
  rejected += chunk.rejected.length
  for (let i = 1; i < offsets.length; i++) largest = Math.max(largest, offsets[i] - offsets[i - 1])
}
const seconds = (performance.now() - startMs) / 1000
const { user, system } = process.cpuUsage()
const peakMb = process.resourceUsage().maxRSS / 1024
const took = {
  events,
  pulses,
  rejected,
  largest,
  seconds,
  firstMs,
  cpuSeconds: (user + system) / 1e6,
  peakMb,
}
process.stdout.write(`${JSON.stringify(took)}\n`)
