#!lua flags=allow-oom
-- The id of the stream, created where there is none. Allowed when Redis is full, so that an archive can start to drain it.
--
-- KEYS: 1 totals of the first partition
-- ARGV: 1 the id that it gets where it has none
redis.call('HSETNX', KEYS[1], 'stream_id', ARGV[1])
return redis.call('HGET', KEYS[1], 'stream_id')
