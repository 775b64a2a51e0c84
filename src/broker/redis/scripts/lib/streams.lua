-- Adds entries ({ key =, fields = }) to streams: all of them, or none. XADD can fail although its key is a stream, when a
-- foreign entry has used up the ids; the entries before it are then removed, and the error reply is returned.
local function add_all(entries)
  local added = {}
  for i, entry in ipairs(entries) do
    local reply = redis.pcall('XADD', entry.key, '*', unpack(entry.fields))
    if type(reply) == 'table' then
      for j, id in ipairs(added) do redis.call('XDEL', entries[j].key, id) end
      return reply
    end
    added[i] = reply
  end
end

-- The entry of a batch; the trace is left out where it is empty.
local function batch_entry(key, batch)
  local fields = { 'batch_id', batch.id, 'events', batch.events, 'emitted_at_ms', batch.emitted_at,
    'counted', batch.events, 'batch', batch.payload }
  if batch.trace ~= '' then
    fields[#fields + 1] = 'traceparent'
    fields[#fields + 1] = batch.trace
  end
  return { key = key, fields = fields }
end

-- Appends the entries of the dead letters in ARGV from `first` to the end: for each, how many values follow, then its
-- field names and values in turn.
local function append_dead_letters(entries, key, first)
  local i = first
  while i <= #ARGV do
    local last = i + tonumber(ARGV[i])
    entries[#entries + 1] = { key = key, fields = { unpack(ARGV, i + 1, last) } }
    i = last + 1
  end
end
