#!lua flags=allow-oom
-- Stores a heartbeat with the server's time, so that the clocks of the processes need not agree.
--
-- KEYS: 1 heartbeats
-- ARGV: 1 name (ROLE/INSTANCE), 2 the beat as JSON
-- @include now
return redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now_ms(), ARGV[2]))
