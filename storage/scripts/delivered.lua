-- outbox group entry id -> 1: the reply is whole on its platform; 0 when its ask was taken up again meanwhile
-- What stays says where the ask came from, for its buttons. A question without a turn is kept for another try, for as
-- long as its conversation goes on.
local outbox, entry, id = P .. 'out:' .. ARGV[1], ARGV[3], ARGV[4]
redis.call('XACK', outbox, ARGV[2], entry)
redis.call('XDEL', outbox, entry)
local f = redis.call('HMGET', job(id), 'entry', 'question', 'passing', 'conversation', 'epoch', 'state')
if f[6] == 'queued' or f[6] == 'running' or (f[1] and f[1] ~= entry) then return 0 end
redis.call('SREM', P .. 'open:' .. ARGV[1], id)
redis.call('HDEL', job(id), 'photos')
if f[2] and f[3] ~= '1' and (redis.call('GET', P .. 'e:' .. f[4]) or '0') == f[5] then
  redis.call('SADD', P .. 'kept:' .. f[4], id)
  redis.call('EXPIRE', P .. 'kept:' .. f[4], JOB_TTL)
  redis.call('EXPIRE', job(id), JOB_TTL)
else
  redis.call('HDEL', job(id), 'question')
  redis.call('EXPIRE', job(id), f[3] == '1' and JOB_TTL or SLOTS_TTL)
end
return 1
