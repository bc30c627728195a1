-- generation, grace, claims
local all = claims()
if all.astray then return {'clock', text(now)} end
local out = {'cells', text(now)}
for i = 1, #all do
  local c = all[i]
  if not load(c) then return {'lost', tostring(i - 1)} end
  if not c.there then c.stale = nil end
  cell(out, c)
end
return out
