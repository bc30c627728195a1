-- generation, grace, token, verb, amount, until, name, claims
local token, verb, amount, till, name = arg(), arg(), arg(), arg(), arg()
local c = claims()[1]
if c.astray then return {'clock', text(now)} end
sweep(512)
local wrong = load_all({c})
if wrong then return wrong end
local money = c.kind == 'b' or c.kind == 'o'

-- A copy that comes again finds its token, and changes nothing.
if redis.call('EXISTS', TAG .. 'a:' .. token) == 0 then
  if verb == 'set' then
    redis.call('HSET', c.key, 'set', amount, 'until', till)
    c.rec.set, c.rec.till = amount, till
  elseif verb == 'clear' then
    redis.call('HDEL', c.key, 'set', 'until')
    c.rec.set = false
  elseif verb == 'grant' or verb == 'revoke' then
    local kept, count = '', 0
    for a, u, n in string.gmatch(c.rec.grants, '(%d+) (%d+) ([^\n]*)\n') do
      if n ~= name and tonumber(u) > now then
        kept, count = kept .. a .. ' ' .. u .. ' ' .. n .. '\n', count + 1
      end
    end
    if verb == 'grant' then
      if count >= 8 then return {'full'} end
      kept = kept .. amount .. ' ' .. till .. ' ' .. name .. '\n'
    end
    if kept == '' then redis.call('HDEL', c.key, 'grants')
    else redis.call('HSET', c.key, 'grants', kept) end
    c.rec.grants = kept
  elseif verb == 'reset' then
    if c.kind == 'r' then
      redis.call('HSET', c.key, 'tat', '0')
      c.rec.tat = 0
    elseif money and (c.there or c.seed > 0) then
      -- Also of what would come along from another window.
      if c.seed > 0 then make(c, now) end
      if c.kind == 'b' then redis.call('HSET', c.window, 'spent', '0')
      else
        for _, slot in ipairs(c.live) do redis.call('HDEL', c.window, 's' .. text(slot[1])) end
      end
      redis.call('HSET', c.window, 'crossed', '0')
      redis.call('HINCRBY', c.window, 'resets', 1)
    end
  elseif verb == 'charge' then
    if not money then return {'invalid'} end
    make(c, now)
    local field = spent_field(c)
    local spent = add(num(redis.call('HGET', c.window, field)), tonumber(amount))
    redis.call('HSET', c.window, field, text(spent))
  end
  if redis.call('EXISTS', c.key) == 1 then redis.call('HSET', c.key, 'is', c.is) end
  redis.call('SET', TAG .. 'a:' .. token, '1', 'PX', 3600000)
  if c.kind == 'r' then keep(c.key, c.rec, math.max(c.rec.tat, now) + 60000000)
  elseif money then keep(c.key, c.rec, math.max(c.keep, c.other or 0, now) + DAY)
  elseif c.rec.used == 0 then keep(c.key, c.rec, now) end
end

load(c)
local out = {'cells', text(now)}
cell(out, c)
return out
