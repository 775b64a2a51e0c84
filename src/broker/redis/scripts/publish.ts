import { createScript, LUA_ADD_BATCH, LUA_ADD_DEAD_LETTERS } from './script.ts'

/**
 * Stores batch, dead letters, position and account in one step, if the run stands where the caller believes.
 * Refused by a Redis that is out of memory, unlike the scripts that settle: a full Redis is drained by consuming.
 *
 * KEYS: batches, dead letters, runs, totals, settled
 * ARGV: 1 `1` with a batch or `0`, 2 batch id, 3 payload, 4 events, 5 emitted at (ms), 6 run or empty,
 *   7 sequence that the run must stand at in this partition (0: new), 8 new position as JSON,
 *   9 events of the dead letters, 10 traceparent or empty, then the dead letters in pairs
 * Returns `stored`; `repeat` for a batch without position that was settled before; or the position found, as JSON
 *   (`{}` for none), when the run stands elsewhere.
 */
export const publishScript = createScript(
  'publish',
  `#!lua
${LUA_ADD_BATCH}${LUA_ADD_DEAD_LETTERS}
local has_batch, batch_id, events, run = ARGV[1] == '1', ARGV[2], tonumber(ARGV[4]), ARGV[6]
if run ~= '' then
  local found = redis.call('HGET', KEYS[3], run) or '{}'
  if (cjson.decode(found).sequence or 0) ~= tonumber(ARGV[7]) then return found end
  redis.call('HSET', KEYS[3], run, ARGV[8])
elseif has_batch and redis.call('ZSCORE', KEYS[5], batch_id) then
  return 'repeat'
end
if has_batch then
  add_batch(KEYS[1], { id = batch_id, events = events, emitted_at = ARGV[5], trace = ARGV[10], payload = ARGV[3] })
  redis.call('HINCRBY', KEYS[4], 'waiting', events)
end
add_dead_letters(KEYS[2], 11)
redis.call('HINCRBY', KEYS[4], 'emitted', events + tonumber(ARGV[9]))
redis.call('HINCRBY', KEYS[4], 'dead_lettered', ARGV[9])
return 'stored'
`,
)
