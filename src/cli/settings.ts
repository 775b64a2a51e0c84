import { hostname } from 'node:os'
import { z } from 'zod'
import { BACKLOG_MAX_EVENTS, BATCH_EVENTS } from '../emitter/emit.ts'
import { switchFlag } from './command.ts'

const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max)

/** Settings that every long-running role has. */
export const roleSettings = {
  name: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 letters, digits, dots, dashes or underscores')
    .optional()
    .describe('name of this instance in metrics and heartbeats (default: from host and process)')
    .meta({ value: 'name' }),
  host: z
    .string()
    .default('127.0.0.1')
    .describe('address to listen on; 0.0.0.0 opens the port to the network')
    .meta({ value: 'address' }),
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('how much to log, as JSON lines on stderr')
    .meta({ value: 'level' }),
}

/** Access control of a server that browsers can reach. */
export const accessSettings = {
  tokenFile: z
    .string()
    .optional()
    .describe('file with tokens, one per line, in place of NUSTREAM_TOKEN; it is read again when it changes')
    .meta({ value: 'file' }),
  allowedHosts: z
    .array(z.string().min(1))
    .default([])
    .describe('further host name of the server, such as that of a reverse proxy; repeatable')
    .meta({ value: 'name', repeat: true }),
}

export function portSetting(fallback: number, what: string) {
  return {
    port: count(0, 65_535)
      .default(fallback)
      .describe(`port of ${what}; 0 takes any free port`)
      .meta({ value: 'port' }),
  }
}

/** Settings for traces (docs/tracing.md). */
export const traceSettings = {
  otlp: z
    .string()
    .optional()
    .describe(
      'send traces to this OpenTelemetry collector, such as http://127.0.0.1:4318; also taken from OTEL_EXPORTER_OTLP_ENDPOINT (default: no traces)',
    )
    .meta({ value: 'url' }),
  traceRatio: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('share of batches to trace, for traces that begin in this process')
    .meta({ value: '0..1' }),
}

/** The broker that stores the stream. */
export const brokerSettings = {
  broker: z
    .string()
    .describe(
      'where the stream is stored: redis://HOST:PORT, rediss://… (TLS), redis+cluster://HOST:PORT,HOST:PORT, redis+sentinel://HOST:PORT/PRIMARY or sqlite:FILE',
    )
    .meta({ value: 'url' }),
  ...brokerTuning(),
}

export function brokerTuning() {
  return {
    stream: z
      .string()
      .regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 letters, digits, dots, dashes or underscores')
      .default('nustream')
      .describe('name of the stream and prefix of its keys; several streams can share a broker')
      .meta({ value: 'name' }),
    partitions: count(1, 256)
      .default(1)
      .describe(
        'partitions of the stream, equal for all roles; more than one spreads the stream over a Redis Cluster',
      )
      .meta({ value: 'n' }),
    visibilityMs: count(500, 3_600_000)
      .default(30_000)
      .describe(
        'lease time: a batch of a consumer that does not renew it goes to another; too low repeats work, too high delays it',
      )
      .meta({ value: 'ms' }),
    brokerUser: z.string().optional().describe('ACL user of Redis').meta({ value: 'user' }),
    brokerPassword: z.string().optional().describe('password of Redis').meta({ secret: true }),
    brokerCa: z
      .string()
      .optional()
      .describe('PEM file of the authority that signed the TLS certificate of Redis')
      .meta({ value: 'file' }),
    brokerCert: z
      .string()
      .optional()
      .describe('PEM file of the client certificate, if Redis requires one')
      .meta({ value: 'file' }),
    brokerKey: z
      .string()
      .optional()
      .describe('PEM file of the private key of --broker-cert')
      .meta({ value: 'file' }),
  }
}

/** The default model of every command. */
export const DEFAULT_MODEL = 'nano'

export const modelSettings = {
  model: z
    .string()
    .default(DEFAULT_MODEL)
    .describe(
      'nano (bundled), linefit (built in), a model folder, or the URL of a model server (several, separated by commas, share the work)',
    )
    .meta({ value: 'model' }),
  threads: count(1, 256)
    .optional()
    .describe('inference threads for a model in this process (default: the number of processor cores)')
    .meta({ value: 'n' }),
  token: z
    .string()
    .optional()
    .describe('bearer token of the model server; a server accepts several, separated by commas')
    .meta({ secret: true }),
  inferUrl: z
    .string()
    .optional()
    .describe(
      'run the network of the model folder on this server (Triton, KServe, MLServer …): http://HOST:PORT/v2/models/NAME',
    )
    .meta({ value: 'url' }),
  modelTimeoutMs: count(10, 600_000)
    .default(30_000)
    .describe(
      'longest wait for one answer of a model server; then another server is asked, or fewer events at once',
    )
    .meta({ value: 'ms' }),
  modelHedgeMs: count(0, 600_000)
    .optional()
    .describe(
      'with several model servers, also ask a second one after this wait; 0 disables it (default: recent 95th percentile of latency)',
    )
    .meta({ value: 'ms' }),
  inferEvents: count(1, 4096)
    .optional()
    .describe('events per request to --infer-url (default: limits.eventsPerRun of the model)')
    .meta({ value: 'n' }),
}

export const emitSettings = {
  source: z
    .string()
    .default('sim:1')
    .describe('sim[:SEED], kaggle:DIR, parquet:FILE[,…], i3:FILE[,…], alert:FILE[,…] or watch:DIR')
    .meta({ value: 'source' }),
  rate: z
    .union(
      [z.literal('max'), z.coerce.number().positive().max(10_000_000)],
      'expected a number above 0, or max',
    )
    .default(3000)
    .describe(
      'events per second, with the random arrival times of a real detector; max for as fast as possible',
    )
    .meta({ value: 'events/s|max' }),
  batch: count(1, 4096)
    .default(BATCH_EVENTS)
    .describe('events per batch; larger batches cost less work, smaller ones have less latency')
    .meta({ value: 'events' }),
  events: count(1, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('stop after this many events')
    .meta({ value: 'n' }),
  loop: switchFlag('restart the source when it ends'),
  run: z
    .string()
    .regex(/^[\w.:-]{1,128}$/, 'expected 1 to 128 letters, digits, dots, dashes, colons or underscores')
    .optional()
    .describe(
      'name of this run: an interrupted run resumes where it stopped, a completed run does not start again',
    )
    .meta({ value: 'name' }),
  backlogMax: count(1, 100_000_000)
    .default(BACKLOG_MAX_EVENTS)
    .describe('pause while more than this many events wait in the broker')
    .meta({ value: 'events' }),
  quietMax: count(0, 31_536_000)
    .default(300)
    .describe('alert when the source gives no event for this long; 0 disables the alert')
    .meta({ value: 'seconds' }),
}

export const consumeSettings = {
  onLoan: count(1, 1024)
    .optional()
    .describe('batches leased at once (default: enough to keep the model busy)')
    .meta({ value: 'n' }),
  attemptsMax: count(1, 100)
    .default(3)
    .describe('deliveries after which a batch that kills its consumers is split to find the event at fault')
    .meta({ value: 'n' }),
  predictionsMax: count(1, 100_000_000)
    .default(10_000)
    .describe('batches of predictions kept in the broker, per partition, for readers')
    .meta({ value: 'n' }),
  deadLettersMax: count(1, 100_000_000)
    .default(100_000)
    .describe('dead letters kept in the broker, per partition; the oldest are dropped first')
    .meta({ value: 'n' }),
  shutdownMs: count(0, 600_000)
    .default(10_000)
    .describe('time to finish the leased batches when asked to stop')
    .meta({ value: 'ms' }),
}

export const jsonSetting = {
  json: switchFlag('print the result as one JSON object on the last line of stdout'),
}

/** A name for this process that is unique across machines and processes. */
export function instanceName(given: string | undefined): string {
  return given ?? `${hostname()}-${process.pid}`
}
