local from, to, limit, most_bytes, entries = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
as_primary()
local found, bytes, seen = {}, 0, 0
local last = ''
repeat
  local keys = redis.call('ZRANGEBYLEX', index, from, to, 'LIMIT', 0, 128)
  for _, key in ipairs(keys) do
    local value = redis.call('GET', entries .. key)
    if value and edition(value) then
      found[#found + 1] = key
      found[#found + 1] = value
      bytes = bytes + #key + #value
      if #found >= 2 * limit or bytes >= most_bytes then
        return {'', found}
      end
    elseif not value and was_lost(key) then
      return lost()
    else
      forget(key, entries .. key)
    end
    last = key
  end
  from = '(' .. last
  seen = seen + #keys
  if #keys < 128 then
    return {'', found}
  end
until seen >= 2048
-- So much had expired that the caller asks again, behind the last one.
return {last, found}
