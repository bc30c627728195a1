-- generation, grace, kind, cell, from, till, policy, percent, length, slot, spent
local c = {kind = arg(), key = arg(), from = arg(), till = arg(), policy = tonumber(arg()),
  percent = arg(), length = tonumber(arg()), slot = tonumber(arg())}
local spent = tonumber(arg())
local forgotten = tonumber(c.till) + c.length + (c.kind == 'b' and GRACE or 0)
if forgotten <= now then return {'over'} end
c.window = c.kind == 'b' and c.key .. ':' .. c.from or c.key .. ':r'
c.rec = record(c.key)
c.there = redis.call('EXISTS', c.window) == 1
c.keep, c.was = num(redis.call('HGET', c.window, 'keep')), ''
make(c, now)
local field = spent_field(c)
redis.call('HSET', c.window, field, text(add(num(redis.call('HGET', c.window, field)), spent)))
return {'restored'}
