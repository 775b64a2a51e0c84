#!lua flags=allow-oom
-- Replaces a delivery by its parts at the end of the stream, in one step, once.
--
-- KEYS: 1 batches, 2 settled, 3 totals
-- ARGV: 1 group, 2 entry id, 3 batch id, 4 events that publishing counted, then for each part: batch id, payload, events,
--   emitted at (ms), traceparent or empty
-- Returns `settled` or `repeat`.
-- @include now checks totals streams
local refused = wrong_type({ 'stream', 'zset', 'hash' })
if refused then return refused end
local totals, wrong = read_totals(KEYS[3])
if wrong then return wrong end
local is_repeat = redis.call('ZSCORE', KEYS[2], ARGV[3])
local events = 0
if not is_repeat then
  local entries = {}
  for i = 5, #ARGV, 5 do
    events = events + tonumber(ARGV[i + 2])
    entries[#entries + 1] = batch_entry(KEYS[1],
      { id = ARGV[i], payload = ARGV[i + 1], events = tonumber(ARGV[i + 2]), emitted_at = ARGV[i + 3], trace = ARGV[i + 4] })
  end
  local failed = add_all(entries)
  if failed then return failed end
  redis.call('ZADD', KEYS[2], now_ms(), ARGV[3])
end

local counted = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) * tonumber(ARGV[4])
totals.waiting = totals.waiting + events - counted
totals.emitted = totals.emitted + events - counted
write_totals(KEYS[3], totals)
return is_repeat and 'repeat' or 'settled'
