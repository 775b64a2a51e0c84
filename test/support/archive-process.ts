/**
 * An archive in a separate process, for tests that kill it.
 * `node archive-process.ts URL FOLDER EVENTS_PER_FILE INTERVAL_MS`; ends by itself only when told to (SIGTERM).
 */
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { archive } from '../../src/archive/archive.ts'
import { archiveMetrics } from '../../src/archive/metrics.ts'
import { openBroker } from '../../src/broker/open.ts'

const [url = '', dir = '', eventsPerFileMax = '100', intervalMs = '1000'] = process.argv.slice(2)
const broker = await openBroker(url)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
await archive({
  broker,
  dir,
  eventsPerFileMax: Number(eventsPerFileMax),
  intervalMs: Number(intervalMs),
  metrics: archiveMetrics(new Registry()),
  log: pino({ level: 'silent' }),
  signal: stop.signal,
})
await broker.close()
