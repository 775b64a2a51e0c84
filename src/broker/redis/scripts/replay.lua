#!lua
-- Publishes the payload of a dead letter as a new batch and removes the dead letter, in one step.
--
-- KEYS: 1 batches, 2 dead letters, 3 totals
-- ARGV: 1 entry id of the dead letter, 2 new batch id, 3 emitted at (ms)
-- Returns 1, or 0 when the dead letter no longer exists.
-- @include checks totals streams
local refused = wrong_type({ 'stream', 'stream', 'hash' })
if refused then return refused end
local totals, wrong = read_totals(KEYS[3])
if wrong then return wrong end
local found = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
if not found then return 0 end
local letter = {}
for i = 1, #found[2], 2 do letter[found[2][i]] = found[2][i + 1] end
local events = tonumber(letter.events) or 1
local failed = add_all({ batch_entry(KEYS[1],
  { id = ARGV[2], events = events, emitted_at = ARGV[3], trace = '', payload = letter.payload or '' }) })
if failed then return failed end
redis.call('XDEL', KEYS[2], ARGV[1])
totals.dead_lettered = totals.dead_lettered - events
totals.waiting = totals.waiting + events
write_totals(KEYS[3], totals)
return 1
