-- What every call on a store begins with.
-- KEYS: meta, index, ends, none, and the entry. ARGV: the server's run, the store's identity, ...
local meta, index, ends, none = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HGET', meta, 'id') ~= ARGV[2] then
  return redis.error_reply('ZTLOST the server has lost what the store had')
end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- A whole number; tostring would round it.
local function digits(number)
  return string.format('%.0f', number)
end

-- Refused by a replica, which would answer from the past.
local function as_primary()
  redis.call('DEL', none)
end

local function forget(key, entry)
  redis.call('DEL', entry)
  redis.call('ZREM', index, key)
  redis.call('ZREM', ends, key)
end

-- Whether an entry that is not there should be: it was neither removed nor has it expired.
local function was_lost(key)
  local stop = redis.call('ZSCORE', ends, key)
  if stop then
    return now < tonumber(stop)
  end
  return redis.call('ZSCORE', index, key)
end

local function lost()
  return redis.error_reply('ZTLOST the server has lost an entry that still lives')
end

-- The edition of a value, or nothing where it has expired.
local function edition(head)
  local version, stop = string.match(head, '^(%d+) (%d*) ')
  if version and (stop == '' or now < tonumber(stop)) then
    return version
  end
end

-- The edition that lives at a key, '' where none does, nothing where one was lost.
local function live(key, entry)
  local head = redis.call('GETRANGE', entry, 0, 63)
  if head == '' and was_lost(key) then
    return nil
  end
  return edition(head) or ''
end
