-- What every call on a topic begins with.
-- KEYS: meta, list, none. ARGV: the server's run, where a new topic begins, ...
local meta, list = KEYS[1], KEYS[2]

-- A whole number; tostring would round it.
local function digits(number)
  return string.format('%.0f', number)
end

local was = redis.call('HMGET', meta, 'run', 'base', 'newest', 'bytes')
local base, newest, bytes = tonumber(was[2]), tonumber(was[3]), tonumber(was[4])
-- Another process of the server may not have all that the last one told: it begins elsewhere, so
-- that nobody who stood in the old one goes on in this one.
if not base or (ARGV[1] ~= '' and was[1] ~= ARGV[1]) then
  base, newest, bytes = tonumber(ARGV[2]), tonumber(ARGV[2]), 0
  redis.call('HSET', meta, 'run', ARGV[1], 'base', digits(base), 'newest', digits(newest), 'bytes', 0)
  redis.call('DEL', list)
end
