-- generation, grace, claims
local all = claims()
if all.astray then return {'clock', text(now)} end
sweep(512)
local wrong = load_all(all)
if wrong then return wrong end
local out = {'cells', text(now)}
for i = 1, #all do cell(out, all[i]) end
return out
