#!lua flags=allow-oom
-- Renews leases without counting an attempt, and never takes back one that has gone to another delivery.
--
-- KEYS: 1 batches
-- ARGV: 1 group, then for each lease: entry id, consumer, attempt
-- Returns the entry ids that are no longer leased to their consumer.
-- @include leases
local lost = {}
for i = 2, #ARGV, 3 do
  local kept = is_leased(ARGV[i], ARGV[i + 1], ARGV[i + 2])
    and redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[i + 1], 0, ARGV[i], 'JUSTID')[1]
  if not kept then lost[#lost + 1] = ARGV[i] end
end
return lost
