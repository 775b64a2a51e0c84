#!lua flags=allow-oom
-- All heartbeats with their age. Names that were not heard of for longer than they are kept are removed. A value that is no
-- heartbeat is returned with time and age 0, for the caller to report.
--
-- KEYS: 1 heartbeats
-- ARGV: 1 how long a name is kept (ms)
-- Returns in turn: name, beat as JSON, beat at (ms), age (ms).
-- @include now
local now, beats = now_ms(), {}
local found = redis.call('HGETALL', KEYS[1])
for i = 1, #found, 2 do
  local at, beat = string.match(found[i + 1], '^(%d+) (.*)$')
  local age = at and now - tonumber(at) or 0
  if age > tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], found[i])
  else
    beats[#beats + 1] = found[i]
    beats[#beats + 1] = beat or ''
    beats[#beats + 1] = at or '0'
    beats[#beats + 1] = age
  end
end
return beats
