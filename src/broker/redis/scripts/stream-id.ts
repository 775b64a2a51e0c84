import { createScript } from './script.ts'

/**
 * The id of the stream, made where there is none. Allowed when Redis is full, so that an archive can begin to drain it.
 *
 * KEYS: totals of the first partition
 * ARGV: 1 the id that it gets where it has none
 */
export const streamIdScript = createScript(
  'stream-id',
  `#!lua flags=allow-oom
redis.call('HSETNX', KEYS[1], 'stream_id', ARGV[1])
return redis.call('HGET', KEYS[1], 'stream_id')
`,
)
