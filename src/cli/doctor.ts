import { access, constants } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import type { Command } from 'commander'
import { z } from 'zod'
import type { Heartbeat } from '../broker/contract.ts'
import { openBroker } from '../broker/open.ts'
import { UsageError } from '../errors.ts'
import { openInferrer } from '../inference/open.ts'
import { tryTracking } from '../mlflow/artifacts.ts'
import { parseTokens } from '../telemetry/access.ts'
import { addCommand } from './command.ts'
import { openTracking, trackingSettings } from './mlflow.ts'
import { toBrokerOptions } from './role.ts'
import { brokerTuning, jsonSetting, modelSettings } from './settings.ts'
import { packageVersion } from './version.ts'

interface Finding {
  readonly what: string
  readonly ok: boolean
  readonly says: string
}

const settings = {
  broker: z.string().optional().describe('also check this broker').meta({ value: 'url' }),
  ...brokerTuning(),
  model: modelSettings.model
    .describe('model to check: nano, linefit, a model folder or the URL of a model server')
    .meta({ value: 'model' }),
  token: modelSettings.token,
  ...trackingSettings,
  mlflow: trackingSettings.mlflow.describe('also check this MLflow tracking server'),
  ...jsonSetting,
}

type Config = z.infer<z.ZodObject<typeof settings>>

export function add(program: Command): void {
  addCommand(program, {
    name: 'doctor',
    summary: 'check what nustream needs; name each problem and its remedy',
    examples: [
      'nustream doctor',
      'nustream doctor --broker redis://127.0.0.1:6379 --model http://127.0.0.1:8500',
      'nustream doctor --mlflow http://127.0.0.1:5000',
    ],
    shape: settings,
    run: async (config) => {
      const findings = [checkNode(), await checkTemporaryFolder(), await tryModel(config.model, config)]
      if (config.broker) findings.push(...(await tryBroker(config.broker, config)))
      if (config.mlflow) findings.push(...(await tryMlflow(config)))
      if (config.json) console.log(JSON.stringify(findings))
      else for (const { what, ok, says } of findings) console.log(`${ok ? '✔' : '✘'} ${what}: ${says}`)
      return findings.every((finding) => finding.ok) ? 0 : 1
    },
  })
}

function checkNode(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  const says = `Node ${process.versions.node} on ${process.platform} ${process.arch}, nustream ${packageVersion()}`
  return { what: 'program', ok: major >= 24, says: major >= 24 ? says : `${says}; needs Node 24 or later` }
}

async function checkTemporaryFolder(): Promise<Finding> {
  const what = 'temporary folder'
  try {
    await access(tmpdir(), constants.W_OK)
    return { what, ok: true, says: tmpdir() }
  } catch {
    return { what, ok: false, says: `${tmpdir()} is not writable; set TMPDIR to a writable folder` }
  }
}

async function tryBroker(url: string, config: Config): Promise<Finding[]> {
  try {
    await using broker = await openBroker(url, toBrokerOptions({ ...config, broker: url }))
    await broker.ping()
    await broker.checkWritable()
    const { unreadBatches, leasedBatches, oldestAgeMs } = await broker.backlog()
    const totals = await broker.totals()
    const waiting = `${unreadBatches} batches unread, ${leasedBatches} leased, oldest ${(oldestAgeMs / 1000).toFixed(1)} s`
    const account = `emitted ${totals.emitted}, predicted ${totals.predicted}, dead letters ${totals.deadLettered}`
    const beats = await broker.heartbeats()
    const missing = isUnattended(beats, oldestAgeMs) ? [NO_CONSUMER] : []
    return [
      { what: 'broker', ok: true, says: `answers; ${waiting}; ${account}` },
      ...missing,
      ...beats.map(toFinding),
    ]
  } catch (error) {
    return [{ what: 'broker', ok: false, says: toSentence(error) }]
  }
}

/** Longer than a consumer needs to start, or to take over the leases of one that died. */
const WAITED_TOO_LONG_MS = 60_000
const NO_CONSUMER: Finding = {
  what: 'consumer',
  ok: false,
  says: 'batches wait, but no consumer sends heartbeats: start one (nustream consume)',
}

/** Whether batches wait and no consumer takes them. */
function isUnattended(beats: readonly Heartbeat[], oldestAgeMs: number): boolean {
  const takes = ({ role, alive }: Heartbeat) => alive && (role === 'consumer' || role === 'up')
  return oldestAgeMs > WAITED_TOO_LONG_MS && !beats.some(takes)
}

function toFinding({ role, instance, alive, beatAtMs, url }: Heartbeat): Finding {
  const last = `last heartbeat ${Math.round((Date.now() - beatAtMs) / 1000)} s ago${url ? `, ${url}` : ''}`
  const gone =
    '; the process died or hangs: check its log. A process that stops normally removes its entry; that of a dead one expires after a day'
  return { what: `${role} ${instance}`, ok: alive, says: alive ? last : `${last}${gone}` }
}

async function tryModel(spec: string, config: Config): Promise<Finding> {
  try {
    const [token] = parseTokens(config.token)
    await using inferrer = await openInferrer(spec, { threads: 1, ...(token && { token }) })
    await inferrer.ready()
    return {
      what: `model ${spec}`,
      ok: true,
      says: `${inferrer.model.name} ${inferrer.model.version} is ready`,
    }
  } catch (error) {
    return { what: `model ${spec}`, ok: false, says: toSentence(error) }
  }
}

/** Whether the tracking server answers, accepts our credentials and stores artefacts. */
async function tryMlflow(config: Config): Promise<Finding[]> {
  const what = 'MLflow'
  try {
    const http = openTracking(config)
    const { version, artifacts } = await tryTracking(http)
    const answers = { what, ok: true, says: `${http.name} answers, version ${version}` }
    const ok = artifacts === undefined
    const says = artifacts ?? 'the tracking server stores them'
    return [answers, { what: 'MLflow artefacts', ok, says }]
  } catch (error) {
    return [{ what, ok: false, says: toSentence(error) }]
  }
}

function toSentence(error: unknown): string {
  if (error instanceof UsageError) return error.message
  return error instanceof Error ? error.message : String(error)
}
