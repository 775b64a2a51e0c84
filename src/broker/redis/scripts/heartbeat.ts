import { createScript, LUA_NOW_MS } from './script.ts'

/**
 * Notes a heartbeat by the server's clock, so that the clocks of the parts need not agree.
 *
 * KEYS: heartbeats
 * ARGV: 1 name (ROLE/INSTANCE), 2 the beat as JSON
 */
export const beatScript = createScript(
  'beat',
  `#!lua flags=allow-oom
${LUA_NOW_MS}
return redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now_ms(), ARGV[2]))
`,
)

/**
 * All heartbeats with their age; names not heard of for longer than they are kept are dropped.
 *
 * KEYS: heartbeats
 * ARGV: 1 how long a name is kept (ms)
 * Returns in turn: beat as JSON, beat at (ms), age (ms).
 */
export const heartbeatsScript = createScript(
  'heartbeats',
  `#!lua flags=allow-oom
${LUA_NOW_MS}
local now, beats = now_ms(), {}
local found = redis.call('HGETALL', KEYS[1])
for i = 1, #found, 2 do
  local at, beat = string.match(found[i + 1], '^(%d+) (.*)$')
  local age = now - tonumber(at)
  if age > tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], found[i])
  else
    beats[#beats + 1] = beat
    beats[#beats + 1] = at
    beats[#beats + 1] = age
  end
end
return beats
`,
)
