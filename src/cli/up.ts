import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { z } from 'zod'
import { abortLater, sleep, untilAborted } from '../async/deadline.ts'
import type { Broker } from '../broker/contract.ts'
import type { RunStatus } from '../mlflow/runs.ts'
import type { Health } from '../telemetry/server.ts'
import { renderAccount, showStatus, toAccount } from './account.ts'
import { addCommand, switchFlag } from './command.ts'
import { createRoleDisplay, displaySettings, sayIfMoved, withPort } from './display.ts'
import { inferenceLogSettings, withInferenceLog } from './mlflow.ts'
import { openStreamModel, registrySettings } from './registry-model.ts'
import { openRoleBroker, type Role, runRole } from './role.ts'
import {
  brokerTuning,
  consumeSettings,
  emitSettings,
  jsonSetting,
  modelSettings,
  roleSettings,
  traceSettings,
} from './settings.ts'
import {
  ConsumerHealth,
  consumeAsConfigured,
  consumeParams,
  emitAsConfigured,
  openRoleSource,
} from './work.ts'

const settings = {
  ...emitSettings,
  ...modelSettings,
  broker: z
    .string()
    .optional()
    .describe(
      'where the stream is stored (default: a temporary SQLite file); with sqlite:FILE or redis:// a run resumes after a crash',
    )
    .meta({ value: 'url' }),
  ...brokerTuning(),
  ...consumeSettings,
  ...inferenceLogSettings,
  ...registrySettings,
  ...roleSettings,
  ...traceSettings,
  logLevel: roleSettings.logLevel
    .unwrap()
    .default('warn')
    .describe('how much to log, as JSON lines on stderr')
    .meta({ value: 'level' }),
  ...displaySettings,
  headless: switchFlag('serve only /metrics and /health, no page'),
  ...jsonSetting,
}

type Config = z.infer<z.ZodObject<typeof settings>>

export function add(program: Command): void {
  addCommand(program, {
    name: 'up',
    summary: 'run the whole stream in one process, without a server',
    description:
      'Runs emitter, broker, consumer and model in one process: each event of the source gets a direction, and a web page shows them. Stops after --events or when the source ends, then prints the account.',
    examples: [
      'nustream up',
      'nustream up --events 20000 --json',
      'nustream up --source kaggle:icecube --model models/mine --rate max',
      'nustream up --broker sqlite:stream.db --run night-7 --events 1000000',
    ],
    shape: settings,
    run: (config) => runRole('up', withPort(config), (role) => up(config, role)),
  })
}

async function up(config: Config, role: Role): Promise<void> {
  const url = config.broker ?? `sqlite:${join(await temporaryFolder(role), 'stream.db')}`
  const source = await openRoleSource(config, role)
  const broker = await openRoleBroker({ ...config, broker: url }, role)
  const { inferrer, details } = await openStreamModel(config, role)
  const { read: health, onModelHealth } = new ConsumerHealth(broker, inferrer, details)
  const showing = await show(config, role, { broker, health })
  const startedAt = performance.now()
  const before = await broker.totals()
  const drained = new AbortController()
  // A failed consumer must stop the emitter, and a failed emitter the consumer.
  const failed = new AbortController()
  let runStatus: RunStatus = 'KILLED'
  let seconds = 0
  const { signal: stopped } = drained
  const consuming = withInferenceLog(config, role, {
    inferrer,
    params: consumeParams({ ...config, broker: url }),
    async work(onSettled) {
      const report = await consumeAsConfigured(config, role, {
        broker,
        inferrer,
        signal: stopped,
        onSettled,
        onModelHealth,
      })
      seconds = (performance.now() - startedAt) / 1000
      return report
    },
    statusOf: () => runStatus,
  }).catch((error: unknown) => {
    failed.abort(error)
    throw error
  })
  consuming.catch(() => {})
  const status = showStatus(broker, { quiet: config.json, eventsMax: config.events })
  try {
    const signal = AbortSignal.any([role.signal, failed.signal])
    const { ended } = await emitAsConfigured(config, role, { source, broker, signal })
    // A source without end runs until it is stopped.
    if (ended === 'done' || (config.events === undefined && isEndless(config))) runStatus = 'FINISHED'
    await waitUntilDrained(broker, { failed: failed.signal, stopping: role.signal, ...config })
  } finally {
    drained.abort()
    status.end()
  }
  const report = await consuming
  const late = abortLater(role.signal, ACCOUNT_WITHIN_MS)
  const totals = await untilAborted(broker.totals(), late).catch((error: unknown) => {
    if (!late.aborted) throw error
  })
  if (!totals) return console.error('stopped without an account: the broker does not answer')
  const account = toAccount({
    totals,
    predictedHere: totals.predicted - before.predicted,
    seconds,
    latencyMs: report.latencyMs,
    meanAngularErrorRad: report.meanAngularErrorRad,
    model: inferrer.model,
    source: source.spec,
  })
  await showing.end()
  console.log(config.json ? JSON.stringify(account) : renderAccount(account))
}

/** Serves the page, /metrics and /health, and prints the address. A failed page is logged and stops nothing. */
async function show(
  config: Config,
  role: Role,
  { broker, health }: { readonly broker: Broker; readonly health: () => Promise<Health> },
): Promise<{ end(): Promise<void> }> {
  const display = config.headless ? undefined : createRoleDisplay(broker, role, config)
  const server = await role.watch({
    broker,
    health,
    ...(display && { open: (options) => display.openServer(options) }),
  })
  if (!config.json) {
    sayIfMoved(config, server)
    const at = display ? `see it at ${server.url}/   (metrics and health at` : '(metrics and health at'
    console.error(`${at} ${server.url}/metrics and /health)`)
  }
  display?.run().catch((err: unknown) => role.log.error({ err }, 'the page no longer gets new data'))
  return { end: async () => display?.lastLook() }
}

function isEndless({ source, loop }: Config): boolean {
  return loop || source.startsWith('sim') || source.startsWith('watch:')
}

async function temporaryFolder(role: Role): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nustream-'))
  role.parts.defer(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const DRAIN_POLL_MS = 20
/** An unreachable broker must not keep an interrupted run from ending. */
const ACCOUNT_WITHIN_MS = 2_000

interface DrainOptions {
  readonly failed: AbortSignal
  /** Aborts when the process is asked to stop, also during this wait. */
  readonly stopping: AbortSignal
  readonly shutdownMs: number
}

/** Returns when no batch is unread or leased, or `shutdownMs` after a stop request, even if the broker is unreachable. */
async function waitUntilDrained(
  broker: Broker,
  { failed, stopping, shutdownMs }: DrainOptions,
): Promise<void> {
  const ends = AbortSignal.any([failed, abortLater(stopping, shutdownMs)])
  while (!ends.aborted) {
    const backlog = await untilAborted(broker.backlog(), ends).catch((error: unknown) => {
      if (!ends.aborted) throw error
    })
    if (backlog && backlog.unreadBatches + backlog.leasedBatches === 0) return
    await sleep(DRAIN_POLL_MS, ends)
  }
}
