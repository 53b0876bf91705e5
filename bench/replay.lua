-- Replays requests prepared beforehand, in turn. Argument: a file of requests, each preceded by its length on a line.
local requests = {}
local at = 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
  bad = 0
end

function request()
  at = at % #requests + 1
  return requests[at]
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function response(status)
  if status ~= 200 and status ~= 201 then bad = bad + 1 end
end

function done(summary)
  local failed = 0
  for _, thread in ipairs(threads) do failed = failed + thread:get("bad") end
  print(string.format("requests=%d failed=%d seconds=%.6f", summary.requests, failed, summary.duration / 1e6))
end
