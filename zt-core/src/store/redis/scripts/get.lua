local key, entry = ARGV[3], KEYS[5]
as_primary()
local value = redis.call('GET', entry)
if value then
  if edition(value) then
    return value
  end
  -- So that it does not come back with the clock.
  forget(key, entry)
  return false
end
if was_lost(key) then
  return lost()
end
return false
