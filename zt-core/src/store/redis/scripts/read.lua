-- Refused by a replica, which would answer from the past.
redis.call('DEL', KEYS[3])
local from, most = tonumber(ARGV[3]), tonumber(ARGV[4])
if from == 0 then
  from = base
end
local kept = redis.call('LLEN', list)
local missing = newest - from
if from < base or missing < 0 or missing > kept then
  return {'lost'}
end
local at = kept - missing
return {'kept', digits(from), redis.call('LRANGE', list, at, at + most - 1)}
