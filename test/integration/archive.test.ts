import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import { describe, expect, it, type TestContext } from 'vitest'
import { type ArchiveOptions, archive } from '../../src/archive/archive.ts'
import { archiveMetrics } from '../../src/archive/metrics.ts'
import type { Broker } from '../../src/broker/contract.ts'
import { toSourceVector } from '../../src/event/direction.ts'
import { archivedIds, readArchived } from '../support/archived.ts'
import { BACKENDS, openBackend, temporaryFolder } from '../support/broker-backends.ts'
import { range, SILENT, startConsuming, untilDrained } from '../support/consuming.ts'
import { azimuthOf, createRandom, TestInferrer, zenithOf } from '../support/faulty-inferrer.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { redisCommand } from '../support/redis-command.ts'
import { until } from '../support/until.ts'

async function publish(broker: Broker, batches: number, firstId = 1): Promise<void> {
  for (let b = 0; b < batches; b++) {
    const events = makeEvents(10, firstId + b * 10, { truth: b % 2 === 0 })
    await broker.publish(toMessage(`b${firstId}-${b}`, events))
  }
}

function startArchive(
  t: TestContext,
  given: Pick<ArchiveOptions, 'broker' | 'dir'> & Partial<ArchiveOptions>,
) {
  const stopping = new AbortController()
  const registry = new Registry()
  const metrics = archiveMetrics(registry)
  const options = { metrics, log: SILENT, intervalMs: 200, signal: stopping.signal, ...given }
  const done = archive(options)
  done.catch(() => {})
  const stop = () => {
    stopping.abort()
    return done
  }
  t.onTestFinished(() =>
    stop().then(
      () => undefined,
      () => undefined,
    ),
  )
  return { registry, done, stop }
}

const files = (dir: string): string[] => readdirSync(dir).filter((name) => name.endsWith('.parquet'))

describe.each(BACKENDS)('archive() on %s', (backend) => {
  const open = async (t: TestContext): Promise<Broker> => (await openBackend(t, backend)).open()

  it('keeps every prediction once, with all that is known about it', async (t) => {
    const broker = await open(t)
    const dir = join(temporaryFolder(t), 'made', 'by-archive')
    const { stop } = startArchive(t, { broker, dir })
    const since = Date.now()
    await publish(broker, 6)
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    await untilDrained(broker)
    expect(await stop()).toMatchObject({ predictions: 60 })
    const rows = await readArchived(dir)
    expect(rows.map(({ eventId }) => Number(eventId)).sort((a, b) => a - b)).toEqual(range(1, 60))
    for (const row of rows) {
      const id = Number(row.eventId)
      expect(row).toMatchObject({
        azimuth: azimuthOf(id),
        zenith: zenithOf(id),
        kappa: 10,
        degenerate: false,
        pulses: 6,
      })
      expect(row).toMatchObject({ model: 'test', modelVersion: '1', consumer: 'C1' })
      expect(row.emittedAtMs).toBeGreaterThanOrEqual(since)
      expect(row.predictedAtMs).toBeGreaterThanOrEqual(row.emittedAtMs)
      expect(row.predictedAtMs).toBeLessThanOrEqual(Date.now())
    }
    const known = rows.filter(({ trueAzimuth }) => trueAzimuth !== null)
    expect(known).toHaveLength(30)
    for (const { azimuth, zenith, trueAzimuth, trueZenith, angularError } of known) {
      const [a, b] = [toSourceVector(azimuth, zenith), toSourceVector(trueAzimuth ?? 0, trueZenith ?? 0)]
      expect(Math.cos(angularError ?? 0)).toBeCloseTo(a[0] * b[0] + a[1] * b[1] + a[2] * b[2], 9)
    }
  })

  it('writes a file when it is full and when its time has come', async (t) => {
    const broker = await open(t)
    const dir = temporaryFolder(t)
    const { registry } = startArchive(t, { broker, dir, eventsPerFileMax: 20, intervalMs: 500 })
    await publish(broker, 5)
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    await until(async () => (await archivedIds(dir)).length === 50, { everyMs: 100 })
    expect(files(dir).length).toBeGreaterThanOrEqual(3)
    expect(await registry.getSingleMetricAsString('nustream_archive_predictions_total')).toMatch(/ 50$/)
  })

  it('resumes where it stopped, and an empty stream makes no file', async (t) => {
    const broker = await open(t)
    const dir = temporaryFolder(t)
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    await startArchive(t, { broker, dir }).stop()
    expect(files(dir)).toEqual([])
    for (const [i, firstId] of [1, 101, 201].entries()) {
      await publish(broker, 3, firstId)
      await untilDrained(broker)
      expect(await startArchive(t, { broker, dir }).stop()).toEqual({ files: 1, predictions: 30 })
      expect(await archivedIds(dir)).toHaveLength(30 * (i + 1))
    }
    expect(await archivedIds(dir)).toEqual([...range(1, 30), ...range(101, 130), ...range(201, 230)])
  })

  it('killed at random again and again, holds every prediction once', async (t) => {
    const opened = await openBackend(t, backend)
    const broker = await opened.open()
    const dir = temporaryFolder(t)
    const random = createRandom(7)
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    const script = fileURLToPath(new URL('../support/archive-process.ts', import.meta.url))
    const start = () => {
      const child = spawn(process.execPath, [script, opened.url, dir, '20', '30'], { stdio: 'inherit' })
      t.onTestFinished(() => void child.kill('SIGKILL'))
      return child
    }
    for (let kill = 0; kill < 6; kill++) {
      const child = start()
      const before = files(dir).length
      await publish(broker, 8, 1 + kill * 80)
      if (kill % 2 === 0) await until(() => files(dir).length > before, { withinMs: 60_000 })
      const pauseMs = random() * 40
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await untilDrained(broker)
    const last = start()
    await until(async () => (await archivedIds(dir)).length >= 480, { withinMs: 60_000, everyMs: 100 })
    last.kill('SIGTERM')
    await once(last, 'exit')
    expect(await archivedIds(dir)).toEqual(range(1, 480))
    expect(readdirSync(dir).filter((name) => !/\.parquet$|^\.archive/.test(name))).toEqual([])
  }, 400_000)

  it('archives a stream of three partitions, and resumes each', async (t) => {
    const broker = await (await openBackend(t, backend)).open({ partitions: 3 })
    const dir = temporaryFolder(t)
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    for (const firstId of [1, 201]) {
      await publish(broker, 20, firstId)
      await untilDrained(broker)
      await startArchive(t, { broker, dir }).stop()
    }
    expect(await archivedIds(dir)).toEqual(range(1, 400))
    const partitions = new Set(files(dir).map((name) => name.slice(0, 'predictions-7f3a9c12-p0'.length)))
    expect(partitions.size).toBe(3)
  })

  it('holds the trimming of predictions at what is safe in a file', async (t) => {
    const opened = await openBackend(t, backend)
    const broker = await opened.open({ predictionsMax: 2, upkeepMs: 50 })
    const dir = temporaryFolder(t)
    await startArchive(t, { broker, dir, reader: 'archive' }).stop()
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    await publish(broker, 30)
    await untilDrained(broker)
    const since = performance.now()
    await until(() => performance.now() - since > 300, { what: 'several rounds of trimming' })
    const { stop } = startArchive(t, { broker, dir, reader: 'archive' })
    await until(async () => (await archivedIds(dir)).length >= 300, { everyMs: 100 })
    await stop()
    expect(await archivedIds(dir)).toEqual(range(1, 300))
  })
})

it.for(BACKENDS)(
  'of several archives of %s into one folder one writes, and the next takes over',
  async (backend, t) => {
    const opened = await openBackend(t, backend)
    const broker = await opened.open()
    const dir = temporaryFolder(t)
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    const script = fileURLToPath(new URL('../support/archive-process.ts', import.meta.url))
    const first = spawn(process.execPath, [script, opened.url, dir, '20', '30'], { stdio: 'inherit' })
    t.onTestFinished(() => void first.kill('SIGKILL'))
    await publish(broker, 3)
    await until(async () => (await archivedIds(dir)).length > 0, { withinMs: 30_000, everyMs: 100 })
    const second = startArchive(t, { broker: await opened.open(), dir, intervalMs: 50 })
    const third = startArchive(t, { broker: await opened.open(), dir, intervalMs: 50 })
    await publish(broker, 5, 101)
    await until(async () => (await archivedIds(dir)).length >= 80, { withinMs: 30_000, everyMs: 100 })
    expect(await second.stop()).toEqual({ files: 0, predictions: 0 })
    first.kill('SIGKILL')
    await once(first, 'exit')
    await publish(broker, 4, 201)
    await until(async () => (await archivedIds(dir)).length >= 120, { withinMs: 30_000, everyMs: 100 })
    expect(await third.stop()).toMatchObject({ predictions: 40 })
    expect(await archivedIds(dir)).toEqual([...range(1, 30), ...range(101, 150), ...range(201, 240)])
  },
)

it.for(BACKENDS)('archives of two streams of %s share a folder', async (backend, t) => {
  const dir = temporaryFolder(t)
  for (const firstId of [1, 101]) {
    const broker = await (await openBackend(t, backend)).open()
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    await publish(broker, 3, firstId)
    await untilDrained(broker)
    expect(await startArchive(t, { broker, dir }).stop()).toMatchObject({ predictions: 30 })
  }
  expect(await archivedIds(dir)).toEqual([...range(1, 30), ...range(101, 130)])
})

it.for(BACKENDS)(
  'a stream of %s that was begun anew repeats no prediction in the folder',
  async (backend, t) => {
    const dir = temporaryFolder(t)
    const session = async (publishing: (broker: Broker) => Promise<void>) => {
      const broker = await (await openBackend(t, backend)).open()
      startConsuming(t, { broker, inferrer: new TestInferrer() })
      await publishing(broker)
      await untilDrained(broker)
      return startArchive(t, { broker, dir }).stop()
    }
    expect(await session((broker) => publish(broker, 3))).toMatchObject({ predictions: 30 })
    // The same batches and one more; then other events under an id that the folder holds.
    expect(await session((broker) => publish(broker, 4))).toEqual({ files: 1, predictions: 10 })
    const others = async (broker: Broker) => {
      await broker.publish(toMessage('b1-0', makeEvents(10, 501)))
    }
    expect(await session(others)).toMatchObject({ predictions: 10 })
    expect(await archivedIds(dir)).toEqual([...range(1, 40), ...range(501, 510)])
  },
)

it('archive() continues with the new stream after its Redis was emptied', async (t) => {
  const opened = await openBackend(t, 'redis')
  const broker = await opened.open()
  const dir = temporaryFolder(t)
  const { stop, registry } = startArchive(t, { broker, dir, intervalMs: 50 })
  const first = startConsuming(t, { broker, inferrer: new TestInferrer() })
  await publish(broker, 3)
  await until(async () => (await archivedIds(dir)).length === 30, { everyMs: 50 })
  await first.stop()
  await redisCommand(opened.url, 'FLUSHALL')
  const again = await opened.open()
  startConsuming(t, { broker: again, inferrer: new TestInferrer() })
  await publish(again, 5)
  await until(async () => (await archivedIds(dir)).length >= 50, { everyMs: 50, withinMs: 30_000 })
  await publish(again, 1, 901)
  await until(async () => (await archivedIds(dir)).length >= 60, { everyMs: 50, withinMs: 30_000 })
  await stop()
  expect(await archivedIds(dir)).toEqual([...range(1, 50), ...range(901, 910)])
  const repeats = await registry.getSingleMetricAsString('nustream_archive_repeated_batches_total')
  expect(Number(/ (\d+)$/.exec(repeats)?.[1])).toBeGreaterThan(0)
  expect(new Set(files(dir).map((name) => name.split('-')[1])).size).toBe(2)
})

it('archive() waits for a missing folder and loses nothing', async (t) => {
  const broker = await (await openBackend(t, 'sqlite')).open()
  const folder = temporaryFolder(t)
  const [dir, aside] = [join(folder, 'a'), join(folder, 'aside')]
  const { registry } = startArchive(t, { broker, dir, intervalMs: 50 })
  startConsuming(t, { broker, inferrer: new TestInferrer() })
  await publish(broker, 1)
  await until(() => readdirSync(folder).includes('a') && files(dir).length === 1)
  renameSync(dir, aside)
  await publish(broker, 4, 101)
  const retries = async () => registry.getSingleMetricAsString('nustream_archive_retries_total')
  await until(async () => / [1-9]\d*$/.test(await retries()))
  renameSync(aside, dir)
  await until(async () => (await archivedIds(dir)).length === 50, { everyMs: 100, withinMs: 20_000 })
})

it('archive() waits for a full disk and loses nothing', async (t) => {
  const dir = join(temporaryFolder(t), 'small-disk')
  mkdirSync(dir)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir]).status === 0
  t.skip(!mounted, 'needs the right to mount a small disk')
  t.onTestFinished(() => void spawnSync('umount', [dir]))
  const broker = await (await openBackend(t, 'sqlite')).open()
  const ballast = join(dir, 'ballast')
  spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1k', 'count=64'])
  const { registry } = startArchive(t, { broker, dir, intervalMs: 50 })
  startConsuming(t, { broker, inferrer: new TestInferrer() })
  await publish(broker, 4)
  const retries = async () => registry.getSingleMetricAsString('nustream_archive_retries_total')
  await until(async () => / [1-9]\d*$/.test(await retries()))
  expect(files(dir)).toEqual([])
  rmSync(ballast)
  await until(async () => (await archivedIds(dir)).length === 40, { everyMs: 100, withinMs: 20_000 })
})

it('archive() skips and counts data that are not predictions, and continues', async (t) => {
  const broker = await (await openBackend(t, 'sqlite')).open()
  const dir = temporaryFolder(t)
  await publish(broker, 1)
  const taking = new AbortController()
  for await (const delivery of broker.deliveries({
    consumer: 'foreign',
    leasesMax: 1,
    signal: taking.signal,
  })) {
    await broker.settle(delivery, { predictions: Buffer.from('noise'), predicted: 10, deadLetters: [] })
    taking.abort()
  }
  await publish(broker, 1, 101)
  startConsuming(t, { broker, inferrer: new TestInferrer() })
  await untilDrained(broker)
  const { registry, stop } = startArchive(t, { broker, dir })
  await stop()
  expect(await archivedIds(dir)).toEqual(range(101, 110))
  expect(await registry.getSingleMetricAsString('nustream_archive_unreadable_batches_total')).toMatch(/ 1$/)
})
