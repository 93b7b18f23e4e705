-- id* -> for each, how many asks are served before it, or -1 when it does not wait
-- Lanes take turns: before the k-th ask of my lane come k of mine, and of every other lane as many as have a turn.
local ranks, lengths, found = {}, {}, {}
for rank, name in ipairs(redis.call('ZRANGE', RING, 0, -1)) do
  ranks[name] = rank
  lengths[name] = redis.call('LLEN', lane_of(name))
end
for _, id in ipairs(ARGV) do
  local f = redis.call('HMGET', job(id), 'state', 'lane')
  local place = -1
  if f[1] == 'queued' then
    local mine = ranks[f[2]] or math.huge -- a lane that is active or delayed comes back behind the ring
    place = 0
    for k, other in ipairs(redis.call('LRANGE', lane_of(f[2]), 0, -1)) do
      if other == id then place = k - 1 end
    end
    local k = place
    for name, rank in pairs(ranks) do
      if name ~= f[2] then place = place + math.min(lengths[name], rank < mine and k + 1 or k) end
    end
  end
  table.insert(found, place)
end
return found
