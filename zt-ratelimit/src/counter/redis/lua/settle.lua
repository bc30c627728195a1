-- generation, grace, hold, how ('r', 'h', 'c'), nanos, token
local id, how, nanos, token = arg(), arg(), tonumber(arg()), arg()
local hold = TAG .. 'h:' .. id
local v = redis.call('HMGET', hold, 'state', 'nanos', 'permits', 'purpose', 'ends', 'parts', 'charged',
  'by', 'told')
local state, held = v[1], num(v[2])

if not state then
  -- Its reserve never arrived, or is still on its way: it finds this, and is refused.
  redis.call('HSET', hold, 'state', 'cancelled', 'nanos', '0', 'charged', '0', 'parts', '')
  expire(hold, now + GRACE)
  return {'settled', '0', '0', '0'}
end
if (state == 'open' or state == 'ended') and now >= num(v[5]) + GRACE then
  if state == 'open' then charge_ended(id, hold) end
  redis.call('ZREM', ENDED, id)
  redis.call('HSET', hold, 'state', 'settled', 'charged', text(held))
  state, v[7] = 'settled', text(held)
end

local all = parts(v[6])
local fresh = state == 'open' or state == 'ended'
local charged = fresh and (how == 'r' and 0 or how == 'h' and held or nanos) or num(v[7])
local pocket = v[4] == 'l' and 'leased' or 'held'
-- A copy of the one that counted says what that one said: its answer may have been lost.
local mine = state == 'settled' and token ~= '' and v[8] == token
local told, said = '', string.gmatch(mine and v[9] or '', '%d+')
local out = {'settled', (fresh or mine) and '1' or '0', text(held), text(charged)}
for i = 1, #all do
  local part = all[i]
  if part.kind == 'c' then
    if state == 'open' then unpermit(part, num(v[3])) end
  elseif part.kind ~= 'r' then
    local field = spent_field(part)
    local w = redis.call('HMGET', part.window, pocket, field, 'resets', 'crossed', 'policy',
      'percent', 'length', 'slot')
    local left = part.kind == 'o' and tonumber(part.till) + num(w[7]) <= now
    if w[1] and left then
      if state == 'open' then redis.call('HSET', part.window, pocket, text(take(num(w[1]), held))) end
    elseif w[1] then
      local spent, crossed = num(w[2]), num(w[4])
      if state == 'open' then
        spent = add(spent, charged)
        redis.call('HSET', part.window, pocket, text(take(num(w[1]), held)), field, text(spent))
      elseif state == 'ended' then
        -- It was charged when it ended; where that was reset since, nothing is to be given back.
        if charged >= held then spent = add(spent, charged - held)
        elseif (redis.call('HGET', hold, 'resets' .. i) or '0') == w[3] then
          spent = give(spent, held - charged)
        end
        redis.call('HSET', part.window, field, text(spent))
      end
      local total = spent
      if part.kind == 'o' then total = slots(part.window, num(w[7]), num(w[8])).spent end
      local limit = allowed(record(part.key), num(w[5]))
      local bit, news, marks = 1, 0, crossed
      for percent in string.gmatch(w[6] or '', '%d+') do
        -- limit * percent / 100, rounded up, without leaving the exact integers.
        local whole = (limit - limit % 100) / 100
        local at = whole * tonumber(percent) + math.ceil(limit % 100 * tonumber(percent) / 100)
        local over = total > 0 and total >= at
        local was = math.floor(crossed / bit) % 2 == 1
        if over and not was then news, marks = news + bit, marks + bit end
        if not over and was and part.kind == 'o' then marks = marks - bit end
        bit = bit * 2
      end
      if not fresh then news = num(said())
      elseif marks ~= crossed then redis.call('HSET', part.window, 'crossed', text(marks)) end
      told = told .. text(news) .. ' '
      for _, word in ipairs({text(i - 1), part.from, part.till, text(total), text(limit), text(news)}) do
        out[#out + 1] = word
      end
    end
  end
end
if fresh then
  redis.call('ZREM', DUE, id)
  redis.call('ZREM', ENDED, id)
  hush(id)
  redis.call('HSET', hold, 'state', 'settled', 'charged', text(charged), 'by', token, 'told', told)
  expire(hold, now + GRACE)
end
return out
