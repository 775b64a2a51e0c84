import { createScript, LUA_NOW_MS } from './script.ts'

/**
 * Notes what a reader has taken of the predictions. Allowed when Redis is full: it may be full of what this lets go.
 *
 * KEYS: readers
 * ARGV: 1 reader, 2 cursor
 */
export const holdScript = createScript(
  'hold',
  `#!lua flags=allow-oom
${LUA_NOW_MS}
return redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now_ms(), ARGV[2]))
`,
)
