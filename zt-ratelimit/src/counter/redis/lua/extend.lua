-- generation, grace, hold, token, more, lives
local id, token, more, lives = arg(), arg(), tonumber(arg()), tonumber(arg())
local hold = TAG .. 'h:' .. id
local v = redis.call('HMGET', hold, 'state', 'nanos', 'permits', 'purpose', 'ends', 'parts', 'tokens')
local state, held, ends = v[1], num(v[2]), num(v[5])
if state ~= 'open' and state ~= 'ended' or now >= ends + GRACE then return {'gone'} end
local tokens = v[7] or ''
if string.find(tokens, token, 1, true) then return {'done', text(held)} end

sweep(512)
state = redis.call('HGET', hold, 'state')
-- A hold that has ended was charged: what it had is held again.
local revived = state == 'ended'
local pocket = v[4] == 'l' and 'leased' or 'held'
local all, violated, bit = parts(v[6]), 0, 1
for i = 1, #all do
  local c = all[i]
  c.rec = record(c.key)
  if c.kind == 'c' then
    -- Permits that had come back are in use again, be it beyond the limit.
    c.limit = allowed(c.rec, num(redis.call('HGET', c.key, 'policy')))
  elseif c.kind ~= 'r' then
    local w = redis.call('HMGET', c.window, 'spent', 'held', 'leased', 'policy', 'length', 'slot',
      'resets', 'keep', spent_field(c))
    c.lost = not w[2]
    -- What only lives on asks nothing of a window that counts no more.
    if (c.lost or c.kind == 'o' and tonumber(c.till) + num(w[5]) <= now)
      and (revived or more > 0) then return {'gone'} end
    c.held, c.leased, c.keep, c.mine = num(w[2]), num(w[3]), num(w[8]), num(w[9])
    c.limit = allowed(c.rec, num(w[4]))
    if c.kind == 'o' then
      c.length, c.slot = num(w[5]), num(w[6])
      local s = slots(c.window, c.length, c.slot)
      c.spent, c.live = s.spent, s.live
    else c.spent = num(w[1]) end
    -- What a reset has forgiven is held anew; otherwise it moves from one pocket to the other.
    c.anew = revived and (redis.call('HGET', hold, 'resets' .. i) or '0') ~= w[7]
    local need = more
    if c.anew then need = add(more, held) end
    local room = free(c)
    -- The policy counts in another window now, which would not hear of more.
    if more > 0 and elsewhere(c) then room = nil end
    if not c.shadow and need > 0 and (not room or need > room) then
      violated = violated + bit
      c.wants = need
    end
  end
  bit = bit * 2
end
if violated > 0 or held > MAX - more then
  local out = {'refused', text(violated)}
  for i = 1, #all do
    local c = all[i]
    if c.kind == 'r' then
      out[#out + 1], out[#out + 2], out[#out + 3] = '0', '0', ''
    else standing(out, c, c.wants) end
  end
  return out
end

local at = now + lives
for i = 1, #all do
  local c = all[i]
  if c.kind == 'c' then
    if revived then
      redis.call('HSET', c.key, 'is', 'c', 'used', text(add(c.rec.used, num(v[3]))))
      redis.call('PERSIST', c.key)
    end
  elseif c.kind ~= 'r' and not c.lost then
    local back = more
    if revived then
      back = add(more, held)
      if not c.anew then redis.call('HSET', c.window, spent_field(c), text(give(c.mine, held))) end
    end
    redis.call('HSET', c.window, pocket, text(add(c[pocket], back)))
    local till = at + GRACE + DAY
    if till > c.keep then
      redis.call('HSET', c.window, 'keep', text(till))
      expire(c.window, till)
      local left = redis.call('PTTL', c.key)
      if left >= 0 then keep(c.key, c.rec, math.max(till + DAY, now + left * 1000)) end
    end
  end
end
-- The last eight: a copy that is older than that does not come any more.
tokens = string.sub(tokens .. token, -8 * #token)
redis.call('HSET', hold, 'state', 'open', 'nanos', text(held + more), 'ends', text(at), 'tokens', tokens)
redis.call('PERSIST', hold)
redis.call('ZREM', ENDED, id)
hush(id)
redis.call('ZADD', DUE, text(at), id)
return {'done', text(held + more)}
