import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { startNustream } from '../support/nustream.ts'
import { startPrometheus, type Target } from '../support/prometheus.ts'
import { PROMETHEUS, ruleFiles } from '../support/prometheus-files.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const CONFIG = readFileSync(join(PROMETHEUS, 'prometheus.yml'), 'utf8')

// The slowest asks for a minute and a half of silence; a scrape, an evaluation and a busy machine come on top.
const FIRES_WITHIN_MS = 150_000
const CLEARS_WITHIN_MS = 60_000

/** A busy machine may well be slow meanwhile, which is another matter. */
const ABOUT_LIFE = [
  'NustreamHeartbeatMissing',
  'NustreamPartUnreachable',
  'NustreamRoleSilent',
  'NustreamNoConsumer',
  'NustreamBrokerDown',
]

it('an emitter that is killed is an alert, and none when it is back', {
  timeout: 600_000,
}, async ({ onTestFinished }) => {
  const owner = { onTestFinished }
  const redis = await startRedis(owner)
  const [emitter, server, consumer] = [await freePort(), await freePort(), await freePort()]
  const broker = ['--broker', redis.url]
  const emit = () =>
    startNustream(
      ['emit', ...broker, '--rate', '300', '--source', 'sim:3', '--run', 'r', '--port', `${emitter}`],
      owner,
    )
  startNustream(['serve', '--model', 'linefit', ...broker, '--port', `${server}`], owner)
  const model = ['--model', `http://127.0.0.1:${server}`]
  startNustream(['consume', ...broker, ...model, '--port', `${consumer}`], owner)
  const first = emit()
  const prometheus = await startPrometheus(owner, {
    config: CONFIG,
    rules: ruleFiles(),
    targets: [
      toTarget(emitter, '1', 'emitter'),
      toTarget(server, '2', 'server'),
      toTarget(consumer, '2', 'consumer'),
    ],
  })
  const firing = async () => {
    const alerts = (await prometheus.alerts()).filter(({ state }) => state === 'firing')
    return alerts.map(({ labels }) => labels['alertname']).filter((name) => ABOUT_LIFE.includes(name))
  }
  const up = async () => (await prometheus.query('up == 1')).length
  await until(async () => (await up()) === 3, { withinMs: 180_000, what: `three parts (${first.stderr()})` })
  await until(
    async () =>
      Number((await prometheus.query('nustream:events:rate1m{outcome="predicted"}'))[0]?.value[1]) > 0,
    { withinMs: 180_000, what: 'events in Prometheus' },
  )
  // What was pending while they came up has gone.
  await until(async () => (await firing()).length === 0, { withinMs: 60_000, what: 'a quiet stream' })

  await first.kill('SIGKILL')
  await until(async () => (await firing()).includes('NustreamHeartbeatMissing'), {
    withinMs: FIRES_WITHIN_MS,
    everyMs: 500,
    what: 'the alert',
  })
  const alert = (await prometheus.alerts()).find(
    ({ labels }) => labels['alertname'] === 'NustreamHeartbeatMissing',
  )
  expect(alert?.labels).toMatchObject({
    role: 'emitter',
    cube: '1',
    instance: `127.0.0.1:${emitter}`,
    severity: 'critical',
  })
  expect(alert?.annotations['description']).toMatch(/emitter at 127.0.0.1:\d+ .* the last beat is \d+/)
  // The broker knows its name as well, whoever is scraped.
  await until(async () => (await firing()).includes('NustreamRoleSilent'), {
    withinMs: FIRES_WITHIN_MS,
    everyMs: 500,
    what: 'the alert of the role',
  })

  // Taken off the list, it is no longer one of the parts that Prometheus looks for; the broker still misses it.
  const others = [toTarget(server, '2', 'server'), toTarget(consumer, '2', 'consumer')]
  prometheus.setTargets(others)
  await until(async () => (await firing()).join() === 'NustreamRoleSilent', {
    withinMs: CLEARS_WITHIN_MS,
    everyMs: 500,
    what: 'the alert of the role alone',
  })

  prometheus.setTargets([...others, toTarget(emitter, '1', 'emitter')])
  const second = emit()
  await until(async () => (await firing()).length === 0, {
    withinMs: CLEARS_WITHIN_MS,
    everyMs: 500,
    what: `the end of the alerts (${second.stderr()})`,
  })
})

function toTarget(port: number, cube: string, part: string): Target {
  return { address: `127.0.0.1:${port}`, labels: { cube, part } }
}
