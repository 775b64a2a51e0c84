#!lua flags=allow-oom
-- Stores predictions and dead letters and acknowledges in one step; for a batch id that was settled before it only
-- acknowledges. Corrects `emitted` where the producer had not counted, or one batch was published twice.
--
-- KEYS: 1 batches, 2 predictions, 3 dead letters, 4 settled, 5 totals
-- ARGV: 1 group, 2 entry id, 3 batch id, 4 events that publishing counted, 5 `1` with predictions or `0`, 6 predictions,
--   7 events predicted, 8 events of the dead letters, then the dead letters (see streams.lua)
-- Returns `settled` or `repeat`.
-- @include now checks totals streams
local refused = wrong_type({ 'stream', 'stream', 'stream', 'zset', 'hash' })
if refused then return refused end
local totals, wrong = read_totals(KEYS[5])
if wrong then return wrong end
local is_repeat = redis.call('ZSCORE', KEYS[4], ARGV[3])
if not is_repeat then
  local entries = {}
  if ARGV[5] == '1' then
    entries[1] = { key = KEYS[2], fields = { 'batch_id', ARGV[3], 'predictions', ARGV[6] } }
  end
  append_dead_letters(entries, KEYS[3], 9)
  local failed = add_all(entries)
  if failed then return failed end
  redis.call('ZADD', KEYS[4], now_ms(), ARGV[3])
end

local counted = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) * tonumber(ARGV[4])
local predicted, dead = 0, 0
if not is_repeat then predicted, dead = tonumber(ARGV[7]), tonumber(ARGV[8]) end
totals.waiting = totals.waiting - counted
totals.predicted = totals.predicted + predicted
totals.dead_lettered = totals.dead_lettered + dead
totals.emitted = totals.emitted + predicted + dead - counted
write_totals(KEYS[5], totals)
return is_repeat and 'repeat' or 'settled'
