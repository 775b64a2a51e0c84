import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect, it, type TestContext } from 'vitest'
import type { Snapshot } from '../../src/display/messages.ts'
import { startNustream } from '../support/nustream.ts'
import { startShownStream } from '../support/shown-stream.ts'
import { until } from '../support/until.ts'

const SMALL = ['up', '--events', '50', '--rate', 'max']

/** Occupies a port, unless another program already does. */
async function take(t: TestContext, port: number): Promise<number> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  t.onTestFinished(async () => void server.close())
  // Rejects if the port is in use already.
  await once(server, 'listening').catch(() => undefined)
  const address = server.address()
  return typeof address === 'object' && address ? address.port : port
}

it('up serves the page beside its metrics and health, and prints its address', async (t) => {
  const { url } = await startShownStream(['--rate', '200'], t)
  const snapshot = await until(
    async () => {
      const got = (await (await fetch(`${url}/api/snapshot`)).json()) as Snapshot
      return got.newest ? got : undefined
    },
    { withinMs: 60_000 },
  )
  expect(snapshot.events.length).toBeGreaterThan(0)
  expect(snapshot.health.parts).toMatchObject([{ role: 'up', alive: true }])
  expect((await fetch(`${url}/health`)).status).toBe(200)
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toContain('nustream_consumer_events_total')
  expect(metrics).toContain('nustream_display_browsers')
})

it('up takes a free port and says so if the default port is in use', async (t) => {
  await take(t, 8080)
  const up = startNustream(SMALL, t)
  expect(await up.ended, up.stderr()).toBe(0)
  expect(up.stderr()).toContain('port 8080 is in use')
  expect(up.stderr()).toMatch(/see it at http:\/\/127\.0\.0\.1:\d+\//)
})

it('up ends with a clear error if the chosen port is in use', async (t) => {
  const port = await take(t, 0)
  const up = startNustream([...SMALL, '--port', `${port}`], t)
  expect(await up.ended).toBe(1)
  expect(up.stderr()).toContain(`port ${port}`)
  expect(up.stderr()).toContain('--port')
})

it('up --json prints one line of JSON on stdout, page or none', async (t) => {
  for (const flags of [[], ['--headless']]) {
    const up = startNustream([...SMALL, '--port', '0', '--json', ...flags], t)
    expect(await up.ended, up.stderr()).toBe(0)
    expect(up.stdout().trim().split('\n')).toHaveLength(1)
    expect(JSON.parse(up.stdout())).toMatchObject({ emitted: 50, predicted: 50 })
    expect(up.stderr()).not.toContain('see it at')
  }
})

it('up --headless serves metrics and health alone', async (t) => {
  const up = startNustream(['up', '--headless', '--port', '0', '--rate', '50'], t)
  const url = await until(() => /at (http:\S+)\/metrics/.exec(up.stderr())?.[1], { withinMs: 60_000 })
  expect((await fetch(`${url}/metrics`)).status).toBe(200)
  expect((await fetch(`${url}/`)).status).toBe(404)
  expect((await fetch(`${url}/api/snapshot`)).status).toBe(404)
})

it('the token comes from the environment and never from the command line', async (t) => {
  const up = startNustream(['up', '--port', '0', '--rate', '50'], t, {
    env: { NUSTREAM_DISPLAY_TOKEN: 'owl' },
  })
  const url = await until(() => /see it at (http:\S+?)\/\s/.exec(up.stderr())?.[1], { withinMs: 60_000 })
  expect((await fetch(`${url}/api/snapshot`)).status).toBe(401)
  const headers = { authorization: 'Bearer owl' }
  expect((await fetch(`${url}/api/snapshot`, { headers })).status).toBe(200)
  const flagged = startNustream(['up', '--display-token', 'owl'], t)
  expect(await flagged.ended).toBe(2)
})
