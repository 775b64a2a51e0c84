-- Server time in ms. Lua numbers are doubles, exact up to 2^53.
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
