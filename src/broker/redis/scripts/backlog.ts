import { createScript, LUA_NOW_MS } from './script.ts'

/**
 * What waits in one partition for one group.
 *
 * KEYS: batches, totals
 * ARGV: 1 group
 * Returns unread batches, batches on loan, events of both as far as they were counted, age of the oldest (ms).
 */
export const backlogScript = createScript(
  'backlog',
  `#!lua flags=no-writes
${LUA_NOW_MS}
local function age_of(id) return math.max(0, now_ms() - tonumber(string.match(id, '^%d+'))) end
local events = math.max(0, tonumber(redis.call('HGET', KEYS[2], 'waiting')) or 0)
local length = redis.call('XLEN', KEYS[1])
if length == 0 then return { 0, 0, 0, 0 } end

local unread, on_loan, read_up_to = length, 0, '0-0'
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  if group.name == ARGV[1] then
    on_loan, read_up_to = group.pending, group['last-delivered-id']
    -- Redis does not know the lag after a deletion; then all that is not on loan counts as unread.
    unread = group.lag or math.max(0, length - on_loan)
  end
end

if on_loan > 0 then
  return { unread, on_loan, events, age_of(redis.call('XPENDING', KEYS[1], ARGV[1])[2]) }
end
local oldest = unread > 0 and redis.call('XRANGE', KEYS[1], '(' .. read_up_to, '+', 'COUNT', 1)[1]
if not oldest then return { 0, 0, 0, 0 } end
return { unread, 0, events, age_of(oldest[1]) }
`,
)
