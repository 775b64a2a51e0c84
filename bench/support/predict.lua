-- wrk script: POST /predict, one prepared body after the other; prints one JSON line at the end.
-- BODIES names a file of bodies, each preceded by its length in decimal and a newline; TYPE is their media type.

local bodies = {}
local file = assert(io.open(os.getenv("BODIES"), "rb"))
while true do
  local length = file:read("*l")
  if length == nil then break end
  bodies[#bodies + 1] = file:read(tonumber(length))
end
file:close()

local headers = { ["Content-Type"] = os.getenv("TYPE") }
local requests = {}
local at = 0

init = function()
  for i, body in ipairs(bodies) do
    requests[i] = wrk.format("POST", "/predict", headers, body)
  end
  at = math.random(#requests)
end

request = function()
  at = at % #requests + 1
  return requests[at]
end

done = function(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"p50Ms":%.3f,"p99Ms":%.3f,"maxMs":%.3f,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, failed
  ))
end
