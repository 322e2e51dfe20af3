-- Sends the requests of a file one after the other, so that every request can be a different user's.
-- Arguments: a file with what all requests begin with, a file with how each goes on (all of one length), that length,
-- and "once" to end the load with the file; else it begins again.
local head, items, length, once

function init(args)
  local file = assert(io.open(args[1], "rb"))
  head = file:read("*a")
  file:close()
  items = assert(io.open(args[2], "rb"))
  length, once = tonumber(args[3]), args[4] == "once"
end

function request()
  local item = items:read(length)
  if item == nil then
    if once then
      wrk.thread:stop()
      io.write("EXHAUSTED\n") -- wrk itself goes on sleeping until it is interrupted
      io.flush()
    end
    items:seek("set", 0)
    item = items:read(length)
  end
  return head .. item
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "duration_us": %d, "refused": %d, "broken": %d, ' ..
    '"p50_us": %d, "p99_us": %d, "p999_us": %d, "max_us": %d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
