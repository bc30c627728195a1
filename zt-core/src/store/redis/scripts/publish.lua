local payload, most, most_bytes = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local kept = redis.call('LLEN', list)
if kept == 0 then
  bytes = 0
end
while kept > 0 and (kept >= most or bytes + #payload > most_bytes) do
  bytes = bytes - #redis.call('LPOP', list)
  kept = kept - 1
end
newest = newest + 1
redis.call('RPUSH', list, payload)
redis.call('HSET', meta, 'newest', digits(newest), 'bytes', digits(bytes + #payload))
-- A hint to look at once; whoever may not hear it looks often enough.
redis.pcall('PUBLISH', ARGV[6], '')
return digits(newest)
