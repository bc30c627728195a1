local key, entry = ARGV[3], KEYS[5]
local value, stop, stop_millis, expected = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local seed, most, entries = ARGV[8], tonumber(ARGV[9]), ARGV[10]
local found = live(key, entry)
if not found then
  return lost()
end
if found ~= expected then
  as_primary()
  return {'conflict'}
end

-- Nothing is written before here: a server without memory refuses the first write of a script
-- and no later one.
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', digits(now), 'LIMIT', 0, 32)) do
  forget(ended, entries .. ended)
end
if found == '' and redis.call('ZCARD', index) >= most then
  return {'full'}
end

-- Versions go up from a random number, and at least as fast as time. Another process of the
-- server may not have all that the last one acknowledged: it begins at another number.
local was = redis.call('HMGET', meta, 'run', 'moved')
if ARGV[1] ~= '' and was[1] ~= ARGV[1] then
  redis.call('HSET', meta, 'run', ARGV[1], 'version', seed)
end
local step = math.max(1, now - was[2])
redis.call('HINCRBY', meta, 'moved', digits(step))
redis.call('HINCRBY', meta, 'version', digits(step))
-- Read again, for Lua's numbers do not have as many digits.
local version = redis.call('HGET', meta, 'version')

if stop == '' then
  redis.call('SET', entry, version .. '  ' .. value)
  redis.call('ZADD', index, 0, key)
  redis.call('ZREM', ends, key)
elseif now < tonumber(stop) then
  redis.call('SET', entry, version .. ' ' .. stop .. ' ' .. value, 'PXAT', stop_millis)
  redis.call('ZADD', index, 0, key)
  redis.call('ZADD', ends, stop, key)
else
  forget(key, entry)
end
return {'done', version}
