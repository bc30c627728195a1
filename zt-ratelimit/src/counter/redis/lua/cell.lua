-- What an administrator sees of a claim.
local function cell(out, c)
  local spent, held = c.spent or 0, c.held or 0
  if c.kind == 'r' then spent = math.ceil(take(c.rec.tat, now) / c.interval) end
  if c.kind == 'c' then held = c.rec.used end
  for _, word in ipairs({text(c.limit), text(spent), text(held), text(c.leased or 0),
    c.from or '', c.till or '', c.rec.set or '', c.rec.till or '', c.rec.grants}) do
    out[#out + 1] = word
  end
end
