import { createScript } from './script.ts'

/**
 * Publishes the payload of a dead letter as a new batch and removes the dead letter, in one step.
 *
 * KEYS: batches, dead letters, totals
 * ARGV: 1 entry id of the dead letter, 2 new batch id, 3 emitted at (ms)
 * Returns 1, or 0 when it is gone.
 */
export const replayScript = createScript(
  'replay',
  `#!lua
local found = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
if not found then return 0 end
local letter = {}
for i = 1, #found[2], 2 do letter[found[2][i]] = found[2][i + 1] end
local events = tonumber(letter.events) or 1
redis.call('XADD', KEYS[1], '*', 'batch_id', ARGV[2], 'events', events, 'emitted_at_ms', ARGV[3],
  'counted', events, 'batch', letter.payload or '')
redis.call('XDEL', KEYS[2], ARGV[1])
redis.call('HINCRBY', KEYS[3], 'dead_lettered', 0 - events)
redis.call('HINCRBY', KEYS[3], 'waiting', events)
return 1
`,
)
