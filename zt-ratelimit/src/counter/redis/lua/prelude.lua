-- What every step begins with. KEYS[1] is the key of the bucket's generation, and every other key
-- begins with the same tag. ARGV[1] is the generation that the client counts in, ARGV[2] the grace
-- period in microseconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'generation'} end
local TAG = string.sub(KEYS[1], 1, -4)
local GRACE = tonumber(ARGV[2])
local MAX, DAY = 9007199254740991, 86400000000
local DUE, ENDED, UNTOLD, NEWS = TAG .. 'due', TAG .. 'ended', TAG .. 'untold', TAG .. 'news'
local now = clock()

local place = 2
local function arg() place = place + 1; return ARGV[place] end
local function num(value) return value and tonumber(value) or 0 end
local function text(number) return string.format('%.0f', number) end
-- Sums that cannot be counted exactly stay at the largest that can, and refuse.
local function add(a, b) if a > MAX - b then return MAX end return a + b end
local function take(a, b) if b >= a then return 0 end return a - b end
-- What is no longer exact stays at the end of the scale.
local function give(a, b) if a >= MAX then return MAX end return take(a, b) end

-- The key of one window: of a rolling one, with `r` in the place of its beginning.
local function window_key(key, label, from)
  return TAG .. 'w:' .. from .. '"' .. label .. '"' .. string.sub(key, #TAG + 3)
end

-- The record of a cell: what it counts, the newest window that it had, and what administrators said.
local function record(key, label)
  local v = redis.call('HMGET', key, 'is', 'set', 'until', 'grants', 'tat', 'used', 'current',
    'new ' .. (label or ''), 'till ' .. (label or ''))
  return {is = v[1], set = v[2], till = v[3], grants = v[4] or '', tat = num(v[5]),
    used = num(v[6]), current = v[7], new = v[8], newtill = v[9]}
end

local function allowed(rec, policy)
  local limit = policy
  if rec.set and (rec.till == '' or tonumber(rec.till) > now) then limit = tonumber(rec.set) end
  for amount, till in string.gmatch(rec.grants, '(%d+) (%d+) [^\n]*\n') do
    if tonumber(till) > now then limit = add(limit, tonumber(amount)) end
  end
  return limit
end

local function expire(key, at)
  if at > MAX then redis.call('PERSIST', key)
  else redis.call('PEXPIREAT', key, text(math.ceil(at / 1000))) end
end

-- A record lives as long as what it is of, and as what administrators said.
local function keep(key, rec, at)
  if rec.set then at = math.max(at, rec.till == '' and 2 * MAX or tonumber(rec.till)) end
  for _, till in string.gmatch(rec.grants, '(%d+) (%d+) [^\n]*\n') do
    at = math.max(at, tonumber(till))
  end
  expire(key, at)
end

-- The slots of a rolling window that count now, and those that no longer do.
local function slots(window, length, slot)
  local all = redis.call('HGETALL', window)
  local v = {spent = 0, live = {}, stale = {}}
  for i = 1, #all, 2 do
    local from = string.match(all[i], '^s(%d+)$')
    if not from then v[all[i]] = all[i + 1]
    elseif tonumber(from) + slot + length > now then
      v.spent = add(v.spent, tonumber(all[i + 1]))
      v.live[#v.live + 1] = {tonumber(from), tonumber(all[i + 1])}
    else v.stale[#v.stale + 1] = all[i] end
  end
  table.sort(v.live, function(a, b) return a[1] < b[1] end)
  return v
end

-- One claim, from the arguments. A calendar window is the one of two that it is now; where it is
-- neither, the claim is astray.
local function claim()
  local c = {kind = arg(), is = arg(), key = arg(), shadow = arg() == '1', policy = tonumber(arg())}
  if c.kind == 'b' then
    c.label, c.percent = arg(), arg()
    for _ = 1, 2 do
      local from, till = arg(), arg()
      if tonumber(from) <= now and now < tonumber(till) then c.from, c.till = from, till end
    end
    c.astray = not c.from
  elseif c.kind == 'o' then
    c.label, c.percent = arg(), arg()
    c.length, c.slot = tonumber(arg()), tonumber(arg())
    local from = now - now % c.slot
    c.from, c.till = text(from), text(from + c.slot)
  elseif c.kind == 'r' then
    c.interval = tonumber(arg())
  end
  return c
end

local function claims()
  local all = {}
  for i = 1, tonumber(arg()) do
    all[i] = claim()
    if all[i].astray then all.astray = true end
  end
  return all
end

-- The window of the same limit under another policy that was counted in last, unless it has ended.
local function elsewhere(c)
  local label, from, till = string.match(c.rec.current or '', '^"(.-)" (%w+) (%d+)$')
  if label and label ~= c.label and tonumber(till) > now then return window_key(c.key, label, from) end
end

-- What was used in that one: a change of policy is no second budget, and neither is a change back.
-- False where it is lost.
local function other(c)
  local window = elsewhere(c)
  if not window then return 0 end
  local v = redis.call('HMGET', window, 'spent', 'held', 'leased', 'length', 'slot', 'keep')
  if not v[2] then return false end
  c.other = num(v[6])
  local spent = v[5] and slots(window, num(v[4]), num(v[5])).spent or num(v[1])
  return add(add(spent, num(v[2])), num(v[3]))
end

-- Reads where a claim stands; nothing where all is well, else what is not. A window that is missing
-- is new only where it is later than every one before it; a window without its record is not whole.
local function load(c)
  c.rec = record(c.key, c.label)
  if c.rec.is and c.rec.is ~= c.is then return 'kind' end
  c.limit = allowed(c.rec, c.policy)
  if c.kind == 'r' then
    -- A burst comes back within 366 days, so that no sum of times leaves the exact integers.
    c.limit = math.min(c.limit, math.floor(31622400000000 / c.interval))
  end
  if c.kind == 'r' or c.kind == 'c' then return nil end
  -- A clock that goes back opens no earlier window.
  if c.rec.new and tonumber(c.rec.new) > tonumber(c.from) then
    c.from, c.till = c.rec.new, c.rec.newtill
  end
  local v
  if c.kind == 'b' then
    c.window = window_key(c.key, c.label, c.from)
    local w = redis.call('HMGET', c.window, 'spent', 'held', 'leased', 'policy', 'percent', 'keep')
    v = {spent = num(w[1]), held = w[2], leased = w[3], policy = w[4], percent = w[5], keep = w[6]}
  else
    c.window = window_key(c.key, c.label, 'r')
    v = slots(c.window, c.length, c.slot)
    c.live, c.stale = v.live, v.stale
  end
  c.there = v.held and true or false
  c.spent, c.held, c.leased, c.keep = v.spent, num(v.held), num(v.leased), num(v.keep)
  c.was = (v.policy or '') .. ' ' .. (v.percent or '')
  if c.there and not c.rec.new then return 'lost' end
  if c.rec.new and not c.there then
    local over = c.kind == 'o' and tonumber(c.rec.new) + c.slot + c.length or tonumber(c.rec.new) + 1
    if over > (c.kind == 'o' and now or tonumber(c.from)) then return 'lost' end
  end
  local used = other(c)
  if not used then return 'lost' end
  -- What is in this window already came from that one, or went there.
  c.seed = take(used, add(add(c.spent, c.held), c.leased))
  c.spent = add(c.spent, c.seed)
  if c.kind == 'o' and c.seed > 0 then c.live[#c.live + 1] = {tonumber(c.from), c.seed} end
  return nil
end

-- Loads all; the answer where one is not well.
local function load_all(all)
  for i = 1, #all do
    local wrong = load(all[i])
    if wrong then return {wrong, tostring(i - 1)} end
  end
end

local function spent_field(part)
  return part.kind == 'b' and 'spent' or 's' .. part.from
end

-- Makes the window where it is not there yet, and lets it live until `ends` at least.
local function make(c, ends)
  if not c.there then
    redis.call('HSET', c.window, 'held', '0', 'leased', '0', 'crossed', '0', 'resets', '0',
      spent_field(c), text(c.seed or 0))
    c.was = ''
  elseif c.seed and c.seed > 0 then
    local spent = num(redis.call('HGET', c.window, spent_field(c)))
    redis.call('HSET', c.window, spent_field(c), text(add(spent, c.seed)))
  end
  if c.was ~= text(c.policy) .. ' ' .. c.percent then
    redis.call('HSET', c.window, 'policy', text(c.policy), 'percent', c.percent)
    if c.kind == 'o' then
      redis.call('HSET', c.window, 'length', text(c.length), 'slot', text(c.slot))
    end
  end
  if c.stale and #c.stale > 0 then redis.call('HDEL', c.window, unpack(c.stale)) end
  local over = c.till
  if c.kind == 'o' then over = text(tonumber(c.till) + c.length) end
  local newest = not c.rec.new or tonumber(c.rec.new) < tonumber(c.from)
  if newest then
    redis.call('HSET', c.key, 'is', c.is, 'new ' .. c.label, c.from, 'till ' .. c.label, c.till)
    c.rec.new = c.from
  end
  local current = '"' .. c.label .. '" ' .. (c.kind == 'o' and 'r' or c.from) .. ' ' .. over
  if c.rec.current ~= current then redis.call('HSET', c.key, 'current', current) end
  local at = math.min(math.max(tonumber(over), ends) + GRACE + DAY, 2 * MAX)
  if at > c.keep or newest or not c.there then
    at = math.max(at, c.keep)
    redis.call('HSET', c.window, 'keep', text(at))
    expire(c.window, at)
    local left = redis.call('PTTL', c.key)
    keep(c.key, c.rec, math.max(at + DAY, now + left * 1000))
    c.keep = at
  end
end

-- What a hold has, one line a claim: kind, shadow, window, cell.
local function part_line(c)
  return c.kind .. (c.shadow and ' 1 ' or ' 0 ') .. (c.from or '0') .. ' ' .. (c.till or '0')
    .. ' "' .. (c.label or '') .. '"' .. c.key .. '\n'
end

local function parts(lines)
  local all = {}
  for kind, shadow, from, till, label, key in
    string.gmatch(lines, '(%a) (%d) (%d+) (%d+) "([^"\n]*)"([^\n]*)\n') do
    all[#all + 1] = {
      kind = kind, shadow = shadow == '1', from = from, till = till, key = key, label = label,
      window = window_key(key, label, kind == 'b' and from or 'r'),
    }
  end
  return all
end

-- Gives the permits of a hold back.
local function unpermit(part, permits)
  local rec = record(part.key)
  local used = take(rec.used, permits)
  redis.call('HSET', part.key, 'used', text(used))
  -- Nothing is in use, and no administrator said anything.
  if used == 0 then keep(part.key, rec, now) end
end

-- Charges a hold that has ended by itself, and remembers to say so.
local function charge_ended(id, key)
  local v = redis.call('HMGET', key, 'parts', 'nanos', 'permits', 'purpose', 'ends')
  redis.call('ZREM', DUE, id)
  if not v[1] then return end
  local nanos, pocket = num(v[2]), v[4] == 'l' and 'leased' or 'held'
  local all = parts(v[1])
  local news = v[2] .. '\n' .. all[1].key .. '\n'
  for i = 1, #all do
    local part = all[i]
    if part.kind == 'c' then unpermit(part, num(v[3]))
    elseif part.kind ~= 'r' then
      local w = redis.call('HMGET', part.window, pocket, spent_field(part), 'resets')
      if w[1] then
        redis.call('HSET', part.window, pocket, text(take(num(w[1]), nanos)),
          spent_field(part), text(add(num(w[2]), nanos)))
        redis.call('HSET', key, 'resets' .. i, w[3] or '0')
      end
      news = news .. part.from .. ' ' .. part.till .. ' ' .. part.key .. '\n'
    end
  end
  local forget = num(v[5]) + GRACE
  redis.call('HSET', key, 'state', 'ended')
  redis.call('ZADD', ENDED, text(forget), id)
  expire(key, math.max(forget, now) + DAY)
  redis.call('ZADD', UNTOLD, v[5], id)
  redis.call('HSET', NEWS, id, news)
  if redis.call('ZCARD', UNTOLD) > 10000 then
    redis.call('HDEL', NEWS, redis.call('ZPOPMIN', UNTOLD)[1])
  end
end

-- There is nothing to tell of a hold any more.
local function hush(id)
  if redis.call('ZREM', UNTOLD, id) == 1 then redis.call('HDEL', NEWS, id) end
end

-- Charges at most `most` holds that have ended, and forgets as many that are past correction;
-- whether there were any to charge.
local function sweep(most)
  local due = redis.call('ZRANGEBYSCORE', DUE, '-inf', text(now), 'LIMIT', 0, most)
  for _, id in ipairs(due) do charge_ended(id, TAG .. 'h:' .. id) end
  local old = redis.call('ZRANGEBYSCORE', ENDED, '-inf', text(now), 'LIMIT', 0, most)
  if #old > 0 then redis.call('ZREM', ENDED, unpack(old)) end
  return #due > 0
end

-- Money of a budget that is free; nothing where more is used than the limit.
local function free(c)
  local used = add(add(c.spent, c.held), c.leased)
  if used > c.limit then return nil end
  return c.limit - used
end

-- When at most `most` of a rolling window is in use, as slots leave it, in microseconds from now.
-- Where holds alone are in the way nobody knows; by then they may have been settled.
local function back(c, most)
  local used, last = add(add(c.spent, c.held), c.leased), now - now % c.slot
  for _, slot in ipairs(c.live) do
    used = take(used, slot[2])
    if used <= most then last = slot[1] break end
  end
  return text(last + c.slot + c.length - now)
end

-- Limit, what remains, and when there is more. `wants` is what did not fit.
local function standing(out, c, wants)
  local left, more = 0, ''
  if c.kind == 'b' then
    left = take(c.limit, add(add(c.spent, c.held), c.leased))
    if tonumber(c.till) <= MAX and not (wants and wants > c.limit) then
      more = text(take(tonumber(c.till), now))
    end
  elseif c.kind == 'o' then
    local used = add(add(c.spent, c.held), c.leased)
    left = take(c.limit, used)
    if not wants then more = used == 0 and '0' or back(c, used - 1)
    elseif wants <= c.limit then more = back(c, c.limit - wants) end
  elseif c.kind == 'r' then
    local window, used = c.limit * c.interval, take(c.rec.tat, now)
    left = math.floor(take(window, used) / c.interval)
    if not wants then
      local part = used % c.interval
      if used == 0 then more = '0'
      elseif part == 0 then more = text(c.interval)
      else more = text(part) end
    elseif wants <= c.limit and c.limit > 0 then
      more = text(take(add(used, wants * c.interval), window))
    end
  else
    left = take(c.limit, c.rec.used)
    -- Nobody knows when a permit comes back: in a second it may be worth asking.
    if not wants and c.rec.used == 0 then more = '0'
    elseif not wants or wants <= c.limit then more = '1000000' end
  end
  out[#out + 1] = text(c.limit)
  out[#out + 1] = text(left)
  out[#out + 1] = more
end
