-- n lease worker failure_limit -> {ms until the next delayed lane is due or -1, id, fence, payload, question, id, …}
local n, lease, worker, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local paused = redis.call('GET', P .. 'mode') == 'paused'
if paused then n = 0 end
local t = now()

-- Every live worker renews or claims several times a lease. If nobody did, nobody could reach us: the leases ran out
-- through no fault of their holders, who get one more before their asks are given to others.
local beat = tonumber(redis.call('HGET', COUNTS, 'beat') or t)
redis.call('HSET', COUNTS, 'beat', t)
if t - beat > lease / 2 then
  for _, id in ipairs(redis.call('ZRANGE', LEASE, 0, -1)) do redis.call('ZADD', LEASE, t + lease, id) end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASE, '-inf', t)) do
  local f = redis.call('HMGET', job(id), 'lane', 'fence')
  put_back(id, f[1], f[2], 0, 1, limit)
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', DELAYED, '-inf', t)) do settle(name) end

local taken = {-1}
while n > 0 do
  local name = redis.call('ZPOPMIN', RING)[1]
  if not name then break end
  local id = redis.call('LPOP', lane_of(name))
  local f = redis.call('HMGET', job(id), 'fence', 'outbox', 'payload', 'question')
  local fence = f[1] + 1
  redis.call('HSET', job(id), 'state', 'running', 'worker', worker, 'fence', fence)
  redis.call('HSET', ACTIVE, name, id)
  redis.call('ZADD', LEASE, t + lease, id)
  count('queued', -1)
  publish(f[2], id, {type = 'started', fence = fence})
  for _, value in ipairs({id, tostring(fence), f[3], f[4] or ''}) do table.insert(taken, value) end
  n = n - 1
end
if n == 0 and not paused and redis.call('ZCARD', RING) > 0 then wake() end
local next_lane = redis.call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
if next_lane[2] then taken[1] = math.max(0, next_lane[2] - t) end
return taken
