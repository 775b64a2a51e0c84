import { createHash } from 'node:crypto'

/** A Lua script with the digest that the server knows it by. */
export interface Script {
  readonly name: string
  readonly lua: string
  readonly sha: string
}

export function createScript(name: string, lua: string): Script {
  return { name, lua, sha: createHash('sha1').update(lua).digest('hex') }
}

/** Server time in ms. Lua numbers are doubles, exact up to 2^53. */
export const LUA_NOW_MS = `
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
`

/** Adds a batch to the stream; the trace is left out where it is empty. */
export const LUA_ADD_BATCH = `
local function add_batch(key, batch)
  local trace = batch.trace ~= '' and { 'traceparent', batch.trace } or {}
  redis.call('XADD', key, '*', 'batch_id', batch.id, 'events', batch.events, 'emitted_at_ms', batch.emitted_at,
    'counted', batch.events, 'batch', batch.payload, unpack(trace))
end
`

/** Adds dead letters given as pairs of (JSON of its fields, payload) from `ARGV[first]` to the end. */
export const LUA_ADD_DEAD_LETTERS = `
local function add_dead_letters(key, first)
  for i = first, #ARGV, 2 do
    local letter = cjson.decode(ARGV[i])
    local fields = { 'payload', ARGV[i + 1] }
    for _, name in ipairs({ 'batch_id', 'event_id', 'code', 'message', 'attempts', 'events', 'died_at_ms' }) do
      if letter[name] then
        fields[#fields + 1] = name
        fields[#fields + 1] = letter[name]
      end
    end
    redis.call('XADD', key, '*', unpack(fields))
  end
end
`
