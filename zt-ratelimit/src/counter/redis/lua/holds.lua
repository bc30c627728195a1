-- generation, grace, which ('due', 'ended'), cell, first, how many
local which, key, first, count = arg(), arg(), tonumber(arg()), tonumber(arg())
local ids = redis.call('ZRANGE', TAG .. which, first, first + count - 1)
local out = {'holds', text(#ids)}
for _, id in ipairs(ids) do
  local v = redis.call('HMGET', TAG .. 'h:' .. id, 'parts', 'purpose', 'nanos', 'ends', 'made')
  for _, part in ipairs(parts(v[1] or '')) do
    if part.key == key and num(v[4]) + GRACE > now then
      for _, word in ipairs({id, v[2], v[3], text(take(num(v[4]), now)), v[5]}) do
        out[#out + 1] = word
      end
    end
  end
end
return out
