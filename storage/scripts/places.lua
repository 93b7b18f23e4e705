-- id* -> for each, how many asks are served before it, or -1 when it does not wait
-- Lanes take turns: before the k-th ask of my lane (from 0) come my k, of every other lane min(its length, k), and one
-- more of each lane that is in front of mine and longer than k. Lanes are walked once for each k, not for each ask.
-- A lane with a running ask, or a parked one, comes back behind the ring.
local order = redis.call('ZRANGE', RING, 0, -1)
for _, name in ipairs(redis.call('HKEYS', ACTIVE)) do table.insert(order, name) end
for _, name in ipairs(redis.call('ZRANGE', DELAYED, 0, -1)) do table.insert(order, name) end
local lengths, rounds, positions = {}, {}, {}
for rank, name in ipairs(order) do lengths[rank] = redis.call('LLEN', lane_of(name)) end

-- served: asks of all lanes before everybody's k-th; ahead[name]: longer lanes in front of this one
local function round_of(k)
  if not rounds[k] then
    local served, longer, ahead = 0, 0, {}
    for rank, name in ipairs(order) do
      served, ahead[name] = served + math.min(lengths[rank], k), longer
      if lengths[rank] > k then longer = longer + 1 end
    end
    rounds[k] = {served = served, ahead = ahead}
  end
  return rounds[k]
end

local function position(name, id)
  if not positions[name] then
    positions[name] = {}
    for i, other in ipairs(redis.call('LRANGE', lane_of(name), 0, -1)) do positions[name][other] = i - 1 end
  end
  return positions[name][id] or 0
end

local found = {}
for _, id in ipairs(ARGV) do
  local f = redis.call('HMGET', job(id), 'state', 'lane')
  local place = -1
  if f[1] == 'queued' then
    local round = round_of(position(f[2], id))
    place = round.served + round.ahead[f[2]]
  end
  table.insert(found, place)
end
return found
