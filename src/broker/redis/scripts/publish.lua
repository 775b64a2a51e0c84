#!lua
-- Stores batch, dead letters, position and counts in one step, if the run stands where the caller believes.
-- Refused by a Redis that is out of memory, unlike the scripts that settle: a full Redis is drained by consuming.
--
-- KEYS: 1 batches, 2 dead letters, 3 runs, 4 totals, 5 settled
-- ARGV: 1 `1` with a batch or `0`, 2 batch id, 3 payload, 4 events, 5 emitted at (ms), 6 run or empty,
--   7 sequence that the run must stand at in this partition (0: new), 8 new position as JSON,
--   9 events of the dead letters, 10 traceparent or empty, then the dead letters (see streams.lua)
-- Returns `stored`; `repeat` for a batch without position that was settled before; or the position found, as JSON
--   (`{}` for none), when the run stands elsewhere.
-- @include checks totals streams
local refused = wrong_type({ 'stream', 'stream', 'hash', 'hash', 'zset' })
if refused then return refused end
local totals, wrong = read_totals(KEYS[4])
if wrong then return wrong end
local has_batch, batch_id, events, run = ARGV[1] == '1', ARGV[2], tonumber(ARGV[4]), ARGV[6]
if run ~= '' then
  local found = redis.call('HGET', KEYS[3], run) or '{}'
  if (cjson.decode(found).sequence or 0) ~= tonumber(ARGV[7]) then return found end
elseif has_batch and redis.call('ZSCORE', KEYS[5], batch_id) then
  return 'repeat'
end

local entries = {}
if has_batch then
  entries[1] = batch_entry(KEYS[1],
    { id = batch_id, events = events, emitted_at = ARGV[5], trace = ARGV[10], payload = ARGV[3] })
end
append_dead_letters(entries, KEYS[2], 11)
local failed = add_all(entries)
if failed then return failed end
if run ~= '' then redis.call('HSET', KEYS[3], run, ARGV[8]) end
local dead = tonumber(ARGV[9])
if has_batch then totals.waiting = totals.waiting + events end
totals.emitted = totals.emitted + events + dead
totals.dead_lettered = totals.dead_lettered + dead
write_totals(KEYS[4], totals)
return 'stored'
