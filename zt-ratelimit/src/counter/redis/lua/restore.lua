-- generation, grace, kind, is, cell, label, from, till, policy, percent, length, slot, spent
local c = {kind = arg(), is = arg(), key = arg(), label = arg(), from = arg(), till = arg(),
  policy = tonumber(arg()), percent = arg(), length = tonumber(arg()), slot = tonumber(arg())}
local spent = tonumber(arg())
local forgotten = tonumber(c.till) + c.length + (c.kind == 'b' and GRACE or 0)
if forgotten <= now then return {'over'} end
c.window = window_key(c.key, c.label, c.kind == 'b' and c.from or 'r')
c.rec = record(c.key, c.label)
c.there = redis.call('EXISTS', c.window) == 1
c.keep, c.was = num(redis.call('HGET', c.window, 'keep')), ''
make(c, now)
local field = spent_field(c)
redis.call('HSET', c.window, field, text(add(num(redis.call('HGET', c.window, field)), spent)))
return {'restored'}
