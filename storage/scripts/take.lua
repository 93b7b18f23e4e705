-- person id photos admin(0|1) a_minute rate_ttl asks_a_day cost_a_day date month use_ttl taken_ttl sent alias*
-- -> "ok" or "admin", or {"too_fast", seconds}, {"quota_asks", limit}, {"quota_cost", limit}
-- An ask costs 1, and 1 more for each photo. One that was counted already (id) is not counted again. Its minute is the
-- one before it was sent: what an outage held back comes at once and in any order, and is no flood.
local person, id, photos, date, month = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[9], ARGV[10]
local rate, cost, window, sent = P .. 'lately:' .. person, photos + 1, tonumber(ARGV[6]), tonumber(ARGV[13])
local admin = ARGV[4] == '1' or redis.call('SISMEMBER', P .. 'admins', person) == 1
for i = 14, #ARGV do admin = admin or redis.call('SISMEMBER', P .. 'admins', ARGV[i]) == 1 end
local today, own = P .. 'use:' .. person .. ':' .. date, redis.call('HGET', P .. 'quotas', person)
local asks, most = tonumber(own or ARGV[7]), tonumber(ARGV[8])
if id == '' or redis.call('EXISTS', P .. 'taken:' .. id) == 0 then
  local minute = redis.call('ZRANGEBYSCORE', rate, '(' .. sent - window, sent + 5, 'WITHSCORES')  -- at once: in any order
  if #minute / 2 >= tonumber(ARGV[5]) then return {'too_fast', math.ceil(minute[2] + window - sent)} end
  redis.call('ZREMRANGEBYSCORE', rate, '-inf', sent - 60 * window)
  redis.call('ZADD', rate, sent, id ~= '' and id or redis.call('HINCRBY', COUNTS, 'seq', 1))
  redis.call('EXPIRE', rate, window)
  if not admin and own ~= '0' then
    local used = redis.call('HMGET', today, 'asks', 'cost')
    if asks > 0 and tonumber(used[1] or 0) >= asks then return {'quota_asks', asks} end
    if most > 0 and tonumber(used[2] or 0) + cost > most then return {'quota_cost', most} end
  end
  if id ~= '' then redis.call('SET', P .. 'taken:' .. id, 1, 'EX', ARGV[12]) end
  for _, key in ipairs({today, P .. 'use:' .. person .. ':' .. month}) do
    redis.call('HINCRBY', key, 'asks', 1)
    redis.call('HINCRBY', key, 'photos', photos)
    redis.call('HINCRBY', key, 'cost', cost)
    redis.call('EXPIRE', key, ARGV[11])
  end
  redis.call('ZINCRBY', P .. 'top:' .. date, 1, person)
  redis.call('EXPIRE', P .. 'top:' .. date, ARGV[11])
end
return admin and 'admin' or 'ok'
