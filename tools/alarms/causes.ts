import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type NustreamProcess, startNustream } from '../../test/support/nustream.ts'
import { makeEvents } from '../../test/support/plain-events.ts'
import { randomEvents } from '../../test/support/random-events.ts'
import { startRedis } from '../../test/support/redis.ts'
import { redisCommand } from '../../test/support/redis-command.ts'
import { mlflow } from './mlflow-causes.ts'
import type { Cause, Trial } from './run.ts'
import { PREDICTED, QUIET_EMITTER, type Stage } from './stage.ts'

/** A network with random weights and a kappa output: its directions are guesses. */
const GUESSING_MODEL = fileURLToPath(new URL('../../test/fixtures/models/icemix-axes', import.meta.url))

/** Repeats an action at an interval until the signal aborts. */
async function again(everyMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await work()
    await pause(everyMs, undefined, { signal }).catch(() => undefined)
  }
}

const nothing = async (): Promise<void> => {}

/** Kills a process; the remedy starts it again. */
function killed(part: NustreamProcess, start: () => NustreamProcess): Trial {
  return {
    make: async () => void (await part.kill('SIGKILL')),
    mend: async () => void start(),
  }
}

const parts: readonly Cause[] = [
  {
    name: 'emitter-killed',
    what: 'the emitter is killed',
    alerts: ['NustreamHeartbeatMissing', 'NustreamPartUnreachable', 'NustreamRoleSilent'],
    async open(stage) {
      stage.start('consumer', '--model', 'linefit')
      const start = () => stage.start('emitter', ...QUIET_EMITTER)
      const emitter = start()
      await stage.flows(PREDICTED)
      return killed(emitter, start)
    },
  },
  {
    name: 'consumer-gone',
    what: 'the only consumer ends and leaves the targets',
    alerts: ['NustreamNoConsumer'],
    async open(stage) {
      const start = () => stage.start('consumer', '--model', 'linefit')
      const consumer = start()
      await stage.flows('nustream_broker_up')
      return {
        make: async () => {
          await consumer.kill('SIGTERM')
          stage.unlist('consumer')
        },
        mend: async () => void start(),
      }
    },
  },
  {
    name: 'redis-killed',
    what: 'Redis is killed',
    alerts: ['NustreamBrokerDown', 'NustreamRetrying', 'NustreamEmitterBehind'],
    async open(stage) {
      stage.start('consumer', '--model', 'linefit')
      stage.start('emitter', ...QUIET_EMITTER)
      await stage.flows(PREDICTED)
      return { make: () => stage.redis.kill9(), mend: () => stage.redis.restart() }
    },
  },
  {
    name: 'consumers-killed',
    what: 'a consumer that holds leases is killed every 8 s',
    alerts: ['NustreamConsumersDie'],
    async open(stage) {
      // A model that is slower than the emitter, so that every consumer always holds batches.
      const flags = ['--model', 'nano', '--threads', '1', '--visibility-ms', '1000']
      stage.start('consumer2', ...flags)
      let consumer = stage.start('consumer', ...flags)
      stage.start('emitter', '--source', 'sim:3', '--rate', 'max', '--batch', '64', '--run', 'r')
      await stage.flows(PREDICTED)
      const kill = async () => {
        await stage.flows('nustream_consumer_on_loan_batches{part="consumer"}')
        await consumer.kill('SIGKILL')
        await pause(2_000)
        consumer = stage.start('consumer', ...flags)
      }
      return { make: (signal) => again(6_000, signal, kill), mend: nothing }
    },
  },
]

const flow: readonly Cause[] = [
  {
    name: 'model-server-killed',
    what: 'the model server is killed',
    alerts: ['NustreamModelNotReady', 'NustreamStreamStands', 'NustreamLagGrowing', 'NustreamBacklogOld'],
    async open(stage) {
      const start = () => stage.start('server', '--model', 'linefit')
      const server = start()
      stage.start('consumer', '--model', stage.urlOf('server'))
      const backlog = ['--backlog-max', '1000000', '--rate', '300']
      stage.start('emitter', '--source', 'sim:3', '--run', 'r', ...backlog)
      await stage.flows(PREDICTED)
      return killed(server, start)
    },
  },
  {
    name: 'source-silent',
    what: 'no more files arrive in the folder that the emitter watches',
    alerts: ['NustreamNothingEmitted'],
    async open(stage) {
      const data = join(stage.folder, 'simulated')
      const folder = join(stage.folder, 'watched')
      mkdirSync(folder)
      const simulating = startNustream(['simulate', '--events', '300', '--out', data], stage.owner)
      if ((await simulating.ended) !== 0) throw new Error(`nothing simulated: ${simulating.stderr()}`)
      let files = 0
      const copy = async () =>
        cpSync(join(data, 'train/batch_1.parquet'), join(folder, `file-${++files}.parquet`))
      const copying = new AbortController()
      void again(1_000, copying.signal, copy)
      stage.start('consumer', '--model', 'linefit')
      stage.start('emitter', '--source', `watch:${folder}`, '--quiet-max', '5')
      await stage.flows(PREDICTED)
      const copyingAgain = new AbortController()
      stage.owner.onTestFinished(async () => copyingAgain.abort())
      return {
        make: async () => copying.abort(),
        mend: async () => void again(1_000, copyingAgain.signal, copy),
      }
    },
  },
  {
    name: 'redis-slow',
    what: 'Redis stalls for 0.8 s repeatedly',
    alerts: ['NustreamLatencyHigh', 'NustreamLatencyBudgetFast', 'NustreamLatencyBudgetSlow'],
    async open(stage) {
      stage.start('consumer', '--model', 'linefit')
      stage.start('emitter', ...QUIET_EMITTER)
      await stage.flows(PREDICTED)
      const stand = async () => {
        stage.redis.pause()
        await pause(800)
        stage.redis.resume()
      }
      return { make: (signal) => again(300, signal, stand), mend: nothing }
    },
  },
  {
    name: 'archive-folder',
    what: 'the folder of the archive is replaced by a file',
    alerts: ['NustreamArchiveBehind'],
    async open(stage) {
      const folder = join(stage.folder, 'predictions')
      stage.start('consumer', '--model', 'linefit')
      stage.start('emitter', ...QUIET_EMITTER)
      stage.start('archive', '--out', folder, '--interval-ms', '1000')
      await stage.flows('nustream_archive_predictions_total')
      return {
        make: async () => {
          renameSync(folder, `${folder}-away`)
          writeFileSync(folder, '')
        },
        mend: async () => {
          rmSync(folder)
          renameSync(`${folder}-away`, folder)
        },
      }
    },
  },
]

/** Sixteen callers that each send a request after the other to a model server with one thread. */
async function askedBySixteen(stage: Stage, ...flags: string[]): Promise<Trial> {
  stage.start('server', '--model', 'nano', '--threads', '1', ...flags)
  await stage.flows('nustream_server_model_info')
  const pulses = Array.from({ length: 200 }, (_, i) => {
    return { sensor_id: (i * 61) % 5160, time: 10_000 + 20 * i, charge: 1, auxiliary: false }
  })
  const body = JSON.stringify({ events: Array.from({ length: 16 }, () => ({ pulses })) })
  const headers = { 'content-type': 'application/json' }
  const ask = (signal: AbortSignal) =>
    again(1, signal, async () => {
      const options = { method: 'POST', headers, body, signal }
      const answer = await fetch(`${stage.urlOf('server')}/predict`, options).catch(() => undefined)
      await answer?.arrayBuffer().catch(() => undefined)
    })
  return {
    make: async (signal) => void (await Promise.all(Array.from({ length: 16 }, () => ask(signal)))),
    mend: nothing,
  }
}

const faults: readonly Cause[] = [
  {
    name: 'bad-events',
    what: 'a producer publishes events with a charge that is not a number',
    alerts: ['NustreamDeadLetters', 'NustreamErrorRateHigh'],
    async open(stage) {
      stage.start('consumer', '--model', 'linefit')
      stage.start('emitter', ...QUIET_EMITTER)
      await stage.flows(PREDICTED)
      const publish = async () => {
        const events = randomEvents({ seed: 4, events: 8 })
        events.charges.fill(Number.NaN)
        await stage.publish(events)
      }
      return { make: (signal) => again(500, signal, publish), mend: nothing }
    },
  },
  {
    name: 'server-overloaded',
    what: 'sixteen clients use a model server whose queue holds 32 events',
    alerts: ['NustreamModelOverloaded'],
    open: (stage) => askedBySixteen(stage, '--queue-max', '32'),
  },
  {
    name: 'deadline-missed',
    what: 'sixteen clients use a model server whose deadline is too short for them',
    alerts: ['NustreamModelServerErrors'],
    open: (stage) => askedBySixteen(stage, '--deadline', '100'),
  },
]

/** A model folder whose manifest has the simulated events as its reference. */
async function modelOfSimulatedEvents(stage: Stage): Promise<string> {
  const model = join(stage.folder, 'model')
  mkdirSync(model)
  cpSync(GUESSING_MODEL, model, { recursive: true })
  const made = startNustream(
    ['models', 'reference', model, '--data', 'sim:7', '--events', '2000'],
    stage.owner,
  )
  if ((await made.ended) !== 0) throw new Error(`no reference: ${made.stderr()}`)
  return model
}

const redis: readonly Cause[] = [
  {
    name: 'redis-full',
    what: 'Redis reaches maxmemory while no consumer runs',
    alerts: ['NustreamRedisMemoryHigh', 'NustreamBrokerRefusesWrites'],
    redisArgs: ['--maxmemory', '24mb', '--maxmemory-policy', 'noeviction'],
    async open(stage) {
      return {
        make: async () => {
          const rate = ['--rate', 'max', '--backlog-max', '10000000']
          stage.start('emitter', '--source', 'sim:3', '--run', 'r', ...rate)
        },
        mend: async () => void (await redisCommand(stage.redis.url, 'CONFIG', 'SET', 'maxmemory', '4gb')),
      }
    },
  },
  {
    name: 'redis-folder',
    what: 'a file replaces the append-only folder, and Redis rewrites',
    alerts: ['NustreamRedisPersistenceFails'],
    async open(stage) {
      stage.start('emitter', ...QUIET_EMITTER)
      await stage.flows('nustream_emitter_events_total')
      const folder = join(stage.redis.dir, 'appendonlydir')
      const rewrite = () => redisCommand(stage.redis.url, 'BGREWRITEAOF').catch(() => undefined)
      return {
        make: async () => {
          renameSync(folder, `${folder}-away`)
          writeFileSync(folder, '')
          await rewrite()
        },
        mend: async () => {
          rmSync(folder)
          renameSync(`${folder}-away`, folder)
          await rewrite()
        },
      }
    },
  },
  {
    name: 'redis-replica',
    what: 'the replica of Redis is killed',
    alerts: ['NustreamRedisReplicaLost'],
    async open(stage) {
      const follow = ['--replicaof', '127.0.0.1', `${stage.redis.port}`]
      const replica = await startRedis(stage.owner, { args: follow })
      stage.start('emitter', ...QUIET_EMITTER)
      await stage.flows('nustream_redis_connected_replicas')
      return { make: () => replica.kill9(), mend: () => replica.restart() }
    },
  },
  {
    name: 'redis-role',
    what: 'Redis becomes the replica of another server',
    alerts: ['NustreamRedisRoleChanged'],
    async open(stage) {
      const other = await startRedis(stage.owner)
      stage.start('emitter', ...QUIET_EMITTER)
      await stage.flows('nustream_redis_primary')
      return {
        make: async () => {
          await redisCommand(stage.redis.url, 'REPLICAOF', '127.0.0.1', `${other.port}`)
        },
        mend: async () => void (await redisCommand(stage.redis.url, 'REPLICAOF', 'NO', 'ONE')),
      }
    },
  },
]

const quality: readonly Cause[] = [
  {
    name: 'other-events',
    what: 'a producer publishes events that differ from the training events',
    alerts: ['NustreamDrift'],
    async open(stage) {
      const model = await modelOfSimulatedEvents(stage)
      stage.start('consumer', '--model', model, '--threads', '1')
      stage.start('emitter', '--source', 'sim:3', '--rate', 'max', '--run', 'r')
      await stage.flows('nustream_consumer_drift_psi{feature="pulses"} >= 0')
      await stage.flows(PREDICTED)
      let next = 1
      const publish = async () => {
        for (let batch = 0; batch < 8; batch++, next += 512) await stage.publish(makeEvents(512, next))
      }
      return { make: (signal) => again(200, signal, publish), mend: nothing }
    },
  },
  {
    name: 'one-pulse-events',
    what: 'a producer publishes events of one pulse',
    alerts: ['NustreamDegenerateHigh'],
    async open(stage) {
      stage.start('consumer', '--model', 'linefit')
      stage.start('emitter', ...QUIET_EMITTER)
      await stage.flows(PREDICTED)
      let next = 1
      const publish = async () => {
        await stage.publish(makeEvents(32, next, { pulsesPerEvent: 1 }))
        next += 32
      }
      return { make: (signal) => again(500, signal, publish), mend: nothing }
    },
  },
  {
    name: 'wrong-model',
    what: 'the model server starts with a model of random weights',
    alerts: ['NustreamAngularErrorHigh', 'NustreamKappaShift', 'NustreamChallengerApart'],
    async open(stage) {
      const start = (model: string) =>
        stage.start('server', '--model', model, '--challenger', 'linefit', '--threads', '1')
      let server = start('nano')
      stage.start('consumer', '--model', stage.urlOf('server'))
      stage.start('emitter', ...QUIET_EMITTER)
      await stage.flows('nustream:angular_error_radians:mean5m offset 90s')
      await stage.flows('nustream:challenger_angle_radians:mean10m offset 90s')
      const restart = async (model: string) => {
        await server.kill('SIGTERM')
        server = start(model)
      }
      return { make: () => restart(GUESSING_MODEL), mend: () => restart('nano') }
    },
  },
]

/** All causes, each with the alerts that it must raise. */
export const CAUSES: readonly Cause[] = [...parts, ...flow, ...faults, ...redis, ...quality, ...mlflow]
