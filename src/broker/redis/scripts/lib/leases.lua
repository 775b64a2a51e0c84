-- True if the entry is still leased to this consumer by this delivery: nobody has claimed it since.
local function is_leased(entry, consumer, attempt)
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], entry, entry, 1)[1]
  return pending and pending[2] == consumer and pending[4] == tonumber(attempt)
end
