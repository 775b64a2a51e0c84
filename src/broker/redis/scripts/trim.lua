#!lua flags=allow-oom
-- Trims one partition: batches that every live group has read and settled; predictions beyond the bound that no live
-- reader holds; settled ids beyond their bound. A group or reader that has been idle too long delays nothing.
--
-- KEYS: 1 batches, 2 predictions, 3 settled, 4 totals, 5 groups, 6 readers, 7 dead letters
-- ARGV: 1 group to note as live or empty, 2 idle max (ms), 3 predictions max or empty to keep all, 4 settled max,
--   5 settled max age (ms), 6 dead letters max or empty to keep all
-- Returns how many dead letters were deleted.
-- @include now checks
local refused = wrong_type({ 'stream', 'stream', 'zset', 'hash', 'hash', 'hash', 'stream' })
if refused then return refused end
local now, idle_max = now_ms(), tonumber(ARGV[2])

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-?(%d*)$')
  return tonumber(ms), tonumber(seq) or 0
end
local function is_before(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end
local function following(id)
  local ms, seq = parts(id)
  return string.format('%.0f-%.0f', ms, seq + 1)
end
local function to_table(pairs_list)
  local named = {}
  for i = 1, #pairs_list, 2 do named[pairs_list[i]] = pairs_list[i + 1] end
  return named
end

local function is_live(group)
  local seen = tonumber(redis.call('HGET', KEYS[5], group) or '')
  return seen and now - seen <= idle_max
end
-- Removes consumers that hold nothing and have been idle for long: names of processes that have ended.
local function forget_consumers(group)
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    local consumer = to_table(info)
    if consumer.pending == 0 and consumer.idle > idle_max then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, consumer.name)
    end
  end
end
-- Redis 7.0 to 7.4 counts a lag that is too high for ever after unread entries were deleted, and KEDA scales by it. Where
-- all that the stream still holds is unread, its length is the lag, and Redis is told so.
local function correct_lag(group)
  local length = redis.call('XLEN', KEYS[1])
  if group.pending > 0 or group.lag == length then return end
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if first and not is_before(group['last-delivered-id'], first[1]) then return end
  local added = to_table(redis.call('XINFO', 'STREAM', KEYS[1]))['entries-added']
  redis.call('XGROUP', 'SETID', KEYS[1], group.name, group['last-delivered-id'], 'ENTRIESREAD', added - length)
end
local function trim_batches()
  local bound
  local live = {}
  if redis.call('EXISTS', KEYS[1]) == 1 then
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
      local group = to_table(info)
      if is_live(group.name) then
        live[#live + 1] = group
        local continues_at = following(group['last-delivered-id'])
        local oldest = group.pending > 0 and redis.call('XPENDING', KEYS[1], group.name)[2] or continues_at
        if not bound or is_before(oldest, bound) then bound = oldest end
        forget_consumers(group.name)
      end
    end
  end
  if bound then redis.call('XTRIM', KEYS[1], 'MINID', '=', bound) end
  for _, group in ipairs(live) do correct_lag(group) end
  -- Entries that another program has deleted were never settled: the count is corrected when nothing waits.
  if redis.call('XLEN', KEYS[1]) == 0 then redis.call('HDEL', KEYS[4], 'waiting') end
end

local function held_predictions()
  local held
  local readers = redis.call('HGETALL', KEYS[6])
  for i = 1, #readers, 2 do
    local called, cursor = string.match(readers[i + 1], '^(%d+) (%d+%-?%d*)$')
    if called and now - tonumber(called) > idle_max then
      redis.call('HDEL', KEYS[6], readers[i])
    elseif called and (not held or is_before(cursor, held)) then
      held = cursor
    end
  end
  return held
end
local function trim_predictions()
  local held, count_max = held_predictions(), tonumber(ARGV[3])
  if not held then
    redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', count_max)
    return
  end
  local excess = redis.call('XLEN', KEYS[2]) - count_max
  while excess > 0 do
    local taken = redis.call('XRANGE', KEYS[2], '-', held, 'COUNT', math.min(excess, 100))
    if #taken == 0 then break end
    redis.call('XTRIM', KEYS[2], 'MINID', '=', following(taken[#taken][1]))
    excess = excess - #taken
  end
end

if ARGV[1] ~= '' then redis.call('HSET', KEYS[5], ARGV[1], now) end
trim_batches()
if ARGV[3] ~= '' then trim_predictions() end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[5]))
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[4]))
return ARGV[6] ~= '' and redis.call('XTRIM', KEYS[7], 'MAXLEN', '=', ARGV[6]) or 0
