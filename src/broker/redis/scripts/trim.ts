import { createScript, LUA_NOW_MS } from './script.ts'

/**
 * Trims one partition: batches that every live group has read and settled; predictions beyond the bound that no live
 * reader holds; settled ids beyond their bound. A group or reader that has been idle too long holds nothing up.
 *
 * KEYS: batches, predictions, settled, totals, groups, readers, dead letters
 * ARGV: 1 group to note as live or empty, 2 idle max (ms), 3 predictions max or empty to leave them alone,
 *   4 predictions max age (ms) or empty,
 *   5 settled max, 6 settled max age (ms), 7 dead letters max or empty
 * Returns how many dead letters were let go.
 */
export const trimScript = createScript(
  'trim',
  `#!lua flags=allow-oom
${LUA_NOW_MS}
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
  local seen = tonumber(redis.call('HGET', KEYS[5], group))
  return seen and now - seen <= idle_max
end
-- Consumers that hold nothing and have long been idle: names of processes that are no more.
local function forget_consumers(group)
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    local consumer = to_table(info)
    if consumer.pending == 0 and consumer.idle > idle_max then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, consumer.name)
    end
  end
end
local function trim_batches()
  if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('HDEL', KEYS[4], 'waiting')
    return 0
  end
  local bound
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local group = to_table(info)
    if is_live(group.name) then
      local reads_on = following(group['last-delivered-id'])
      local oldest = group.pending > 0 and redis.call('XPENDING', KEYS[1], group.name)[2] or reads_on
      if not bound or is_before(oldest, bound) then bound = oldest end
      -- Entries that a stranger has deleted were never settled: the count is put right when nothing waits.
      if group.pending == 0 and group.lag == 0 then redis.call('HDEL', KEYS[4], 'waiting') end
      forget_consumers(group.name)
    end
  end
  return bound and redis.call('XTRIM', KEYS[1], 'MINID', '=', bound) or 0
end

local function held_predictions()
  local held
  local readers = redis.call('HGETALL', KEYS[6])
  for i = 1, #readers, 2 do
    local called, cursor = string.match(readers[i + 1], '^(%d+) (.+)$')
    if now - tonumber(called) > idle_max then
      redis.call('HDEL', KEYS[6], readers[i])
    elseif not held or is_before(cursor, held) then
      held = cursor
    end
  end
  return held
end
local function trim_predictions()
  local held, count_max = held_predictions(), tonumber(ARGV[3])
  if not held then
    redis.call('XTRIM', KEYS[2], 'MAXLEN', '=', count_max)
  else
    local excess = redis.call('XLEN', KEYS[2]) - count_max
    while excess > 0 do
      local taken = redis.call('XRANGE', KEYS[2], '-', held, 'COUNT', math.min(excess, 100))
      if #taken == 0 then break end
      redis.call('XTRIM', KEYS[2], 'MINID', '=', following(taken[#taken][1]))
      excess = excess - #taken
    end
  end
  if ARGV[4] ~= '' then
    local bound = string.format('%.0f-0', math.max(0, now - tonumber(ARGV[4])))
    if held and is_before(following(held), bound) then bound = following(held) end
    redis.call('XTRIM', KEYS[2], 'MINID', '=', bound)
  end
end

if ARGV[1] ~= '' then redis.call('HSET', KEYS[5], ARGV[1], now) end
trim_batches()
if ARGV[3] ~= '' then trim_predictions() end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[6]))
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[5]))
return ARGV[7] ~= '' and redis.call('XTRIM', KEYS[7], 'MAXLEN', '=', ARGV[7]) or 0
`,
)
