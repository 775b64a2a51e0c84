#!lua flags=allow-oom
-- Ends leases without an outcome: the entry is marked as long abandoned, so the next consumer that looks claims it, and the
-- attempt is not counted.
--
-- KEYS: 1 batches
-- ARGV: 1 group, then for each lease: entry id, consumer, attempt
-- Returns how many were still leased to their consumer.
-- @include leases
local released = 0
for i = 2, #ARGV, 3 do
  if is_leased(ARGV[i], ARGV[i + 1], ARGV[i + 2]) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[i + 1], 0, ARGV[i],
      'IDLE', 86400000, 'RETRYCOUNT', tonumber(ARGV[i + 2]) - 1, 'JUSTID')
    released = released + 1
  end
end
return released
