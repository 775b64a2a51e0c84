local TOTALS = { 'emitted', 'predicted', 'dead_lettered', 'waiting' }

-- The counts of a partition, or nil and an error reply where one of them is no whole number.
local function read_totals(key)
  local totals = {}
  for i, value in ipairs(redis.call('HMGET', key, unpack(TOTALS))) do
    local text = value or '0'
    if #text > 16 or not string.match(text, '^-?%d+$') then
      return nil, redis.error_reply(string.format('WRONGTYPE field %s of %s is no count', TOTALS[i], key))
    end
    totals[TOTALS[i]] = tonumber(text)
  end
  return totals
end

-- Stores the counts. `waiting` stays at 0 or above, and `emitted` at what has an outcome or above, even where an entry of
-- another program claims to have been counted.
local function write_totals(key, totals)
  local waiting = math.max(0, totals.waiting)
  local emitted = math.max(totals.emitted, totals.predicted + totals.dead_lettered)
  redis.call('HSET', key,
    'emitted', string.format('%.0f', emitted),
    'predicted', string.format('%.0f', totals.predicted),
    'dead_lettered', string.format('%.0f', totals.dead_lettered),
    'waiting', string.format('%.0f', waiting))
end
