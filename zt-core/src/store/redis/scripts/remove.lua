local key, entry = ARGV[3], KEYS[5]
as_primary()
local found = live(key, entry)
if not found then
  return lost()
end
if found == '' or found ~= ARGV[4] then
  return {'conflict'}
end
forget(key, entry)
return {'done', found}
