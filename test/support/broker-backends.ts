import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Broker } from '../../src/broker/contract.ts'
import { openBroker } from '../../src/broker/open.ts'
import type { OpenOptions } from '../../src/broker/options.ts'
import { type Owner, startRedis } from './redis.ts'

export const BACKENDS = ['sqlite', 'redis'] as const
export type Backend = (typeof BACKENDS)[number]

export interface OpenedBackend {
  readonly url: string
  /** Opens the broker as one process would; the test's end closes it. */
  open(options?: OpenOptions): Promise<Broker>
}

/** A separate broker for one test: a SQLite file, or a real redis-server. */
export async function openBackend(owner: Owner, backend: Backend): Promise<OpenedBackend> {
  const url = backend === 'redis' ? (await startRedis(owner)).url : sqliteUrl(owner)
  return {
    url,
    async open(options = {}) {
      const broker = await openBroker(url, { visibilityMs: 1_000, ...options })
      owner.onTestFinished(() => broker.close())
      return broker
    },
  }
}

function sqliteUrl(owner: Owner): string {
  const folder = temporaryFolder(owner)
  return `sqlite:${join(folder, 'broker.db')}`
}

/** An empty folder that is removed after the test. */
export function temporaryFolder(owner: Owner): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-test-'))
  owner.onTestFinished(async () => rmSync(folder, { recursive: true, force: true }))
  return folder
}
