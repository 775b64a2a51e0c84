import { UsageError } from '../errors.ts'
import type { Broker } from './broker.ts'
import type { BrokerOptions } from './options.ts'

/** Placeholder until the Redis home lands. */
export async function openRedisBroker(url: string, _options: BrokerOptions): Promise<Broker> {
  throw new UsageError(
    'broker_url_invalid',
    `no Redis broker in this build yet, wanted for ${url.split('@').at(-1)}`,
  )
}
