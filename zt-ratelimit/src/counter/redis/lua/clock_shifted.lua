-- For tests: the clock of the server, moved on by what stands in a key.
local function clock()
  local time = redis.call('TIME')
  local shift = redis.call('GET', string.sub(KEYS[1], 1, -4) .. 'shift')
  return tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(shift or '0')
end
