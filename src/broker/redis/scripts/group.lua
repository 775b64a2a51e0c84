#!lua flags=allow-oom
-- Creates the consumer group, and the stream with it, unless they exist; the group reads from the beginning. A script only
-- because the plain command is refused when Redis is full, and then no consumer could start to drain it.
--
-- KEYS: 1 batches
-- ARGV: 1 group
-- Returns 1, or 0 when the group existed.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
  return made
end
return 1
