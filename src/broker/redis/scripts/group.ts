import { createScript } from './script.ts'

/**
 * Makes the consumer group, and the stream with it, unless they are there; the group reads from the beginning. A script
 * only because the plain command is refused when Redis is full, and then nobody could begin to drain it.
 *
 * KEYS: batches
 * ARGV: 1 group
 * Returns 1, or 0 when the group was there.
 */
export const groupScript = createScript(
  'group',
  `#!lua flags=allow-oom
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
  return made
end
return 1
`,
)
