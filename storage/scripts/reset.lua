-- worker -> how many asks this worker's former life still held; they return to the head of their lanes
local released = 0
for _, id in ipairs(redis.call('ZRANGE', LEASE, 0, -1)) do
  local f = redis.call('HMGET', job(id), 'worker', 'lane', 'fence')
  if f[1] == ARGV[1] then
    put_back(id, f[2], f[3], 0, 0, 0)
    released = released + 1
  end
end
return released
