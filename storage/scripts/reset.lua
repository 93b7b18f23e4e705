-- worker kept* -> how many asks this worker was thought to hold, but does not; they return to the head of their lanes
local kept, released = {}, 0
for i = 2, #ARGV do kept[ARGV[i]] = true end
for _, id in ipairs(redis.call('ZRANGE', LEASE, 0, -1)) do
  local f = redis.call('HMGET', job(id), 'worker', 'lane', 'fence')
  if f[1] == ARGV[1] and not kept[id] then
    put_back(id, f[2], f[3], 0, 0, 0)
    released = released + 1
  end
end
return released
