-- -> when the ask that waits longest was asked, in s since 1970 as text, "" when none waits
-- In a lane the first waits longest. Not by its turn: lanes take turns, whoever asked first.
local oldest = ''
local function look(names)
  for _, name in ipairs(names) do
    local head = redis.call('LINDEX', lane_of(name), 0)
    local asked = head and string.match(redis.call('HGET', job(head), 'payload'), '"asked_at":([%d.]+)')
    if asked and (oldest == '' or tonumber(asked) < tonumber(oldest)) then oldest = asked end
  end
end
look(redis.call('ZRANGE', RING, 0, -1))
look(redis.call('ZRANGE', DELAYED, 0, -1))
look(redis.call('HKEYS', ACTIVE))
return oldest
