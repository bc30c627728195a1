-- generation, grace, hold, fingerprint, cost, weight, permits, lives, purpose, claims
local id, fingerprint = arg(), arg()
local cost, weight, permits = tonumber(arg()), tonumber(arg()), tonumber(arg())
local lives, purpose = tonumber(arg()), arg()
local all = claims()
if all.astray then return {'clock', text(now)} end

local hold = TAG .. 'h:' .. id
local known = redis.call('HMGET', hold, 'state', 'fingerprint', 'would')
if known[1] and known[2] ~= fingerprint then
  return {known[1] == 'cancelled' and 'late' or 'other'}
end
if known[1] and known[1] ~= 'open' then return {'late'} end
if not known[1] then sweep(32) end

local wrong = load_all(all)
if wrong then return wrong end
if known[1] then
  local out = {'held', known[3]}
  for i = 1, #all do standing(out, all[i]) end
  return out
end

local violated, would
local function judge()
  local bit = 1
  violated, would = 0, 0
  for i = 1, #all do
    local c = all[i]
    local wants
    if c.kind == 'r' then
      local window = c.limit * c.interval
      c.next = math.max(c.rec.tat, now) + weight * c.interval
      if c.limit == 0 or weight > c.limit or c.next > now + window then wants = weight end
    elseif c.kind == 'c' then
      if add(c.rec.used, permits) > c.limit then wants = permits end
    else
      local room = free(c)
      if not room or cost > room then wants = cost end
    end
    c.wants = wants
    if wants and c.shadow then would = would + bit
    elseif wants then violated = violated + bit end
    bit = bit * 2
  end
end
judge()
-- Where holds that have ended are in the way, they give their permits back first.
if violated > 0 and sweep(512) then
  wrong = load_all(all)
  if wrong then return wrong end
  judge()
end
if violated > 0 then
  local out = {'refused', text(violated)}
  for i = 1, #all do standing(out, all[i], not all[i].shadow and all[i].wants) end
  return out
end

local ends = now + lives
local pocket = purpose == 'l' and 'leased' or 'held'
local lines = {}
for i = 1, #all do
  local c = all[i]
  if c.kind == 'r' then
    if not c.wants then
      c.rec.tat = c.next
      redis.call('HSET', c.key, 'is', c.is, 'tat', text(c.next))
      keep(c.key, c.rec, c.next + 60000000)
    end
  elseif c.kind == 'c' then
    c.rec.used = add(c.rec.used, permits)
    redis.call('HSET', c.key, 'is', c.is, 'used', text(c.rec.used), 'policy', text(c.policy))
    redis.call('PERSIST', c.key)
  else
    make(c, ends)
    c[pocket] = add(c[pocket], cost)
    redis.call('HSET', c.window, pocket, text(c[pocket]))
  end
  lines[i] = part_line(c)
end
redis.call('HSET', hold, 'state', 'open', 'fingerprint', fingerprint, 'nanos', text(cost),
  'permits', text(permits), 'purpose', purpose, 'made', text(now), 'ends', text(ends),
  'would', text(would), 'parts', table.concat(lines))
redis.call('ZADD', DUE, text(ends), id)
local out = {'held', text(would)}
for i = 1, #all do standing(out, all[i]) end
return out
