import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { describeBroker } from '../conformance/broker/conformance.ts'
import type { BrokerBackend } from '../conformance/broker/support.ts'

for (const partitions of [1, 3]) {
  describeBroker(`SQLite broker of ${partitions} partition(s)`, (t) => openSqliteBackend(t, partitions))
}

async function openSqliteBackend(t: TestContext, partitions: number): Promise<BrokerBackend> {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-sqlite-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return {
    async open(options = {}) {
      const broker = await openBroker(`sqlite:${join(folder, 'broker.db')}`, { partitions, ...options })
      t.onTestFinished(() => broker.close())
      return broker
    },
    // The file is nobody's process: there is nothing to kill but the brokers themselves, as other tests do.
    restart: async () => undefined,
  }
}
