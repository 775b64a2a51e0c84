-- Redis does not roll back a script that fails. So every script that writes to several keys checks them before its first
-- write, and makes the writes that can still fail (see streams.lua) before all others.

-- An error reply for the first of KEYS that has another type than the one in `types`, or nil.
local function wrong_type(types)
  for i, expected in ipairs(types) do
    local found = redis.call('TYPE', KEYS[i]).ok
    if found ~= 'none' and found ~= expected then
      return redis.error_reply(string.format('WRONGTYPE %s is a %s, expected a %s', KEYS[i], found, expected))
    end
  end
end
