import { createScript } from './script.ts'

/** True if the loan is still this consumer's: nobody has claimed the entry since. */
const LUA_IS_MINE = `
local function is_mine(entry, consumer, attempt)
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], entry, entry, 1)[1]
  return pending and pending[2] == consumer and pending[4] == tonumber(attempt)
end
`

/**
 * Keeps loans alive without counting an attempt, and never takes back one that has gone to another.
 *
 * KEYS: batches
 * ARGV: 1 group, then for each loan: entry id, consumer, attempt
 * Returns the entry ids that are no longer theirs.
 */
export const renewScript = createScript(
  'renew',
  `#!lua flags=allow-oom
${LUA_IS_MINE}
local lost = {}
for i = 2, #ARGV, 3 do
  local kept = is_mine(ARGV[i], ARGV[i + 1], ARGV[i + 2])
    and redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[i + 1], 0, ARGV[i], 'JUSTID')[1]
  if not kept then lost[#lost + 1] = ARGV[i] end
end
return lost
`,
)

/**
 * Gives a loan back: it looks long abandoned, so the next consumer that looks claims it, and its attempt is not counted.
 *
 * KEYS: batches
 * ARGV: 1 group, then for each loan: entry id, consumer, attempt
 * Returns how many were still theirs.
 */
export const releaseScript = createScript(
  'release',
  `#!lua flags=allow-oom
${LUA_IS_MINE}
local released = 0
for i = 2, #ARGV, 3 do
  if is_mine(ARGV[i], ARGV[i + 1], ARGV[i + 2]) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[i + 1], 0, ARGV[i],
      'IDLE', 86400000, 'RETRYCOUNT', tonumber(ARGV[i + 2]) - 1, 'JUSTID')
    released = released + 1
  end
end
return released
`,
)
