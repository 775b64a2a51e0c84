#!lua
-- Does nothing, but Redis runs it only where it would run `publish`: not when memory is used up, the disk fails, the server is
-- a replica, or too few replicas are connected.
--
-- KEYS: 1 batches
return 1
