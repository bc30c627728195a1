-- generation, grace, how many
local most = tonumber(arg())
sweep(most)
local out = {'expired'}
for _, id in ipairs(redis.call('ZRANGE', UNTOLD, 0, most - 1)) do
  out[#out + 1] = id .. '\n' .. redis.call('HGET', NEWS, id)
  hush(id)
end
return out
