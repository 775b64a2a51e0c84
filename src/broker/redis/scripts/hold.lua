#!lua flags=allow-oom
-- Stores which predictions a reader has taken. Allowed when Redis is full, because trimming them makes room.
--
-- KEYS: 1 readers
-- ARGV: 1 reader, 2 cursor
-- @include now
return redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now_ms(), ARGV[2]))
