-- What an administrator sees of a claim.
local function cell(out, c)
  local spent, held, set, grants = c.spent or 0, c.held or 0, c.rec.set, ''
  if c.kind == 'r' then spent = math.ceil(take(c.rec.tat, now) / c.interval) end
  if c.kind == 'c' then held = c.rec.used end
  if set and c.rec.till ~= '' and tonumber(c.rec.till) <= now then set = false end
  for line, till in string.gmatch(c.rec.grants, '(%d+ (%d+) [^\n]*\n)') do
    if tonumber(till) > now then grants = grants .. line end
  end
  for _, word in ipairs({text(c.limit), text(spent), text(held), text(c.leased or 0),
    c.from or '', c.till or '', set or '', set and c.rec.till or '', grants}) do
    out[#out + 1] = word
  end
end
