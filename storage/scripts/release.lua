-- id fence delay failed(0|1) failure_limit -> 1 back at the head of the lane, 2 closed after its last try, 0 the fence was lost
local held = holds(ARGV[1], ARGV[2])
if not held then return 0 end
put_back(ARGV[1], held.lane, ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
return redis.call('HGET', job(ARGV[1]), 'state') == 'failed' and 2 or 1
