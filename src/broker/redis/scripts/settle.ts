import { createScript, LUA_ADD_BATCH, LUA_ADD_DEAD_LETTERS, LUA_NOW_MS } from './script.ts'

/** The beginning that settling and splitting share: acknowledges, and ends here for a batch id settled before. */
const LUA_ONCE = `
local function account(name, by) redis.call('HINCRBY', KEYS[5], name, by) end
local acknowledged = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
local counted = acknowledged * tonumber(ARGV[4])
account('waiting', 0 - counted)
if redis.call('ZADD', KEYS[4], 'NX', now_ms(), ARGV[3]) == 0 then
  account('emitted', 0 - counted)
  return 'repeat'
end
`

/**
 * Stores predictions and dead letters and acknowledges in one step; for a batch id that was settled before it only
 * acknowledges. Puts `emitted` right where the producer had not counted, or one batch was published twice.
 *
 * KEYS: batches, predictions, dead letters, settled, totals
 * ARGV: 1 group, 2 entry id, 3 batch id, 4 events that publishing counted, 5 `1` with predictions or `0`, 6 predictions,
 *   7 events predicted, 8 events of the dead letters, then the dead letters in pairs
 * Returns `settled` or `repeat`.
 */
export const settleScript = createScript(
  'settle',
  `#!lua flags=allow-oom
${LUA_NOW_MS}${LUA_ADD_DEAD_LETTERS}${LUA_ONCE}
if ARGV[5] == '1' then
  redis.call('XADD', KEYS[2], '*', 'batch_id', ARGV[3], 'predictions', ARGV[6])
end
add_dead_letters(KEYS[3], 9)
account('predicted', ARGV[7])
account('dead_lettered', ARGV[8])
account('emitted', ARGV[7] + ARGV[8] - counted)
return 'settled'
`,
)

/**
 * Puts the parts of a delivery at the end of the stream in its place, in one step, once.
 *
 * KEYS: as settle
 * ARGV: 1 group, 2 entry id, 3 batch id, 4 events that publishing counted, then for each part: batch id, payload, events,
 *   emitted at (ms), traceparent or empty
 * Returns `settled` or `repeat`.
 */
export const splitScript = createScript(
  'split',
  `#!lua flags=allow-oom
${LUA_NOW_MS}${LUA_ADD_BATCH}${LUA_ONCE}
local total = 0
for i = 5, #ARGV, 5 do
  local events = tonumber(ARGV[i + 2])
  total = total + events
  add_batch(KEYS[1], { id = ARGV[i], events = events, emitted_at = ARGV[i + 3], trace = ARGV[i + 4], payload = ARGV[i + 1] })
end
account('waiting', total)
account('emitted', total - counted)
return 'settled'
`,
)
