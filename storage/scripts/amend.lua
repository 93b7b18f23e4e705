-- id fence newest(0|1) limit payload question photos -> "ok", "changed", "older", "draining" or "full"
-- The ask is answered anew under the next fence, in front of its lane; whatever its former fence brings is dead.
-- "changed": it is not under the fence that the caller saw. "older": not the newest of its conversation, as asked for.
-- What its asker stopped is answered anew by the asker's own wish only, and that wish is for the newest.
local id, fence, newest, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local f = redis.call('HMGET', job(id), 'fence', 'state', 'lane', 'photos', 'conversation', 'outbox', 'entry', 'turns',
  'passing', 'cancel')
local state, name = f[2], f[3]
if f[1] ~= fence or newest == '0' and (f[10] or state == 'cancelled') then return 'changed' end
if newest == '1' and f[8] and not is_of(redis.call('LINDEX', P .. 'h:' .. f[5], -1), id) then return 'older' end
local closed = state ~= 'queued' and state ~= 'running'
if closed and redis.call('GET', P .. 'mode') == 'draining' then return 'draining' end
if closed and tonumber(redis.call('HGET', COUNTS, 'queued') or 0) >= limit then return 'full' end
if not closed then use_photos(f[4], -1) end
use_photos(ARGV[7], 1)
redis.call('HSET', job(id), 'state', 'queued', 'payload', ARGV[5], 'question', ARGV[6], 'photos', ARGV[7],
  'fence', fence + 1, 'failures', 0, 'due', 0)
redis.call('HDEL', job(id), 'cancel', 'entry')
if state == 'running' then
  redis.call('PUBLISH', P .. 'ctl', fence .. ' ' .. id)
  stop_running(id, name, fence)
elseif closed then
  redis.call('XDEL', P .. 'out:' .. f[6], f[7] or '0-1')
  redis.call('SADD', P .. 'open:' .. f[6], id)
  if f[9] == '1' then redis.call('EXPIRE', P .. 'open:' .. f[6], PASSING_TTL) end
  redis.call('SREM', P .. 'kept:' .. f[5], id)
  redis.call('PERSIST', job(id))
end
if state ~= 'queued' then
  count('queued', 1)
  redis.call('LPUSH', lane_of(name), id)
end
-- A lane that waits in the ring keeps its turn.
if not redis.call('ZSCORE', RING, name) then settle(name) end
return 'ok'
