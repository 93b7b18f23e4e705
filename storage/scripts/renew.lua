-- lease (id fence)* -> a list of "ok", "cancelled" or "lost", in the same order
local lease = tonumber(ARGV[1])
local t, states = now(), {}
redis.call('HSET', COUNTS, 'beat', t)
for i = 2, #ARGV, 2 do
  local held = holds(ARGV[i], ARGV[i + 1])
  if held then redis.call('ZADD', LEASE, t + lease, ARGV[i]) end
  table.insert(states, not held and 'lost' or held.cancelled and 'cancelled' or 'ok')
end
return states
