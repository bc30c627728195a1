-- KEYS: meta. ARGV: the server's run, an identity and a first version for a store that is new.
local meta = KEYS[1]
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000000 + clock[2])
if redis.call('HSETNX', meta, 'id', ARGV[2]) == 1 then
  redis.call('HSET', meta, 'born', now, 'run', ARGV[1], 'version', ARGV[3], 'moved', now)
end
return redis.call('HMGET', meta, 'id', 'born')
