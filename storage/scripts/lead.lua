-- token ttl(ms; 0 leaves) [job run] -> 1 while `token` is the one that keeps house, else 0
-- The note of a run is taken from the one that leads only: who lost the house while it worked says nothing any more.
local leader, token, ttl = P .. 'leader', ARGV[1], tonumber(ARGV[2])
local holder = redis.call('GET', leader)
if holder and holder ~= token then return 0 end
if ttl == 0 then
  redis.call('DEL', leader)
  return 0
end
if ARGV[3] and not holder then return 0 end
redis.call('SET', leader, token, 'PX', ttl)
if ARGV[3] then redis.call('HSET', P .. 'done', ARGV[3], ARGV[4]) end
return 1
