import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openBroker } from '../broker/open.ts'
import { openRoleBroker, runRole } from './role.ts'
import { brokerTuning } from './settings.ts'

const config = { host: '127.0.0.1', port: 0, logLevel: 'silent' as const, name: 'e1' }

/** Runs a role on a broker of its own; the names that the broker knows during `work` and after the end. */
async function namesOf(work: () => Promise<void> | void) {
  const url = `sqlite:${join(mkdtempSync(join(tmpdir(), 'nustream-role-')), 'stream.db')}`
  await using onlooker = await openBroker(url)
  const names = async () => (await onlooker.heartbeats()).map(({ role, instance }) => `${role} ${instance}`)
  let during: string[] = []
  const ended = await runRole('emitter', config, async (role) => {
    const broker = await openRoleBroker({ ...tuning(), broker: url }, role)
    await role.watch({ broker, health: () => ({ live: true, ready: true, details: {} }) })
    during = await names()
    await work()
  }).catch((error: Error) => error.message)
  return { during, ended, after: await names() }
}

function tuning() {
  const { stream, partitions, visibilityMs } = brokerTuning()
  return {
    stream: stream.parse(undefined),
    partitions: partitions.parse(undefined),
    visibilityMs: visibilityMs.parse(undefined),
  }
}

it('runRole() takes the name of a part that ends in order out of the broker', async () => {
  expect(await namesOf(() => {})).toEqual({ during: ['emitter e1'], ended: 0, after: [] })
})

it('runRole() takes it out too when the part was asked to stop, whatever goes wrong on its way out', async () => {
  const interrupted = () => void process.emit('SIGTERM')
  expect(await namesOf(interrupted)).toMatchObject({ ended: 0, after: [] })
  const failing = () => {
    interrupted()
    throw new Error('the archive cannot be kept')
  }
  expect(await namesOf(failing)).toMatchObject({ ended: 'the archive cannot be kept', after: [] })
})

it('runRole() leaves the name of a part that fails, so that it is missed by name', async () => {
  const fails = () => {
    throw new Error('the file is damaged')
  }
  expect(await namesOf(fails)).toEqual({
    during: ['emitter e1'],
    ended: 'the file is damaged',
    after: ['emitter e1'],
  })
})
