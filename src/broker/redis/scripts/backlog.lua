#!lua flags=no-writes
-- What waits in one partition for one group.
--
-- KEYS: 1 batches, 2 totals
-- ARGV: 1 group
-- Returns unread batches, leased batches, events of both as far as they were counted, age of the oldest (ms).
-- @include now
local function age_of(id) return math.max(0, now_ms() - tonumber(string.match(id, '^%d+'))) end
local length = redis.call('XLEN', KEYS[1])
if length == 0 then return { 0, 0, 0, 0 } end

local leased, lag, read_up_to = 0, nil, '-'
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  if group.name == ARGV[1] then
    leased, lag, read_up_to = group.pending, group.lag, '(' .. group['last-delivered-id']
  end
end
-- After entries were deleted, Redis 7.0 to 7.4 does not know the lag, or counts too many for ever. The lag is therefore
-- bounded by what the stream holds, and is 0 where nothing comes after the last entry that was read.
local unread, oldest = 0, nil
if lag ~= 0 then oldest = redis.call('XRANGE', KEYS[1], read_up_to, '+', 'COUNT', 1)[1] end
if oldest then unread = math.max(1, math.min(lag or length, length - leased)) end

if leased == 0 and unread == 0 then return { 0, 0, 0, 0 } end
local events = math.max(0, tonumber(redis.call('HGET', KEYS[2], 'waiting')) or 0)
local first = leased > 0 and redis.call('XPENDING', KEYS[1], ARGV[1])[2] or oldest[1]
return { unread, leased, events, age_of(first) }
