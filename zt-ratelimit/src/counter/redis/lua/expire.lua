-- generation, grace, how many
local most = tonumber(arg())
sweep(most)
local out = {'expired'}
for _, news in ipairs(redis.call('LPOP', NEWS, most) or {}) do out[#out + 1] = news end
return out
