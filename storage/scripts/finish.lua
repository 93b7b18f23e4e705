-- id fence state event conversation epoch history_ttl turn* -> 1, or 0 when the fence is lost or the ask is closed
local id, fence, state, event, conversation, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local held = holds(id, fence)
if not held then return 0 end
stop_running(id, held.lane, fence)
-- The turns enter the history in the same step: an ask that is answered twice is never remembered twice.
-- Not after a fresh start: those turns belong to a conversation that is over.
if #ARGV > 7 and (redis.call('GET', P .. 'e:' .. conversation) or '0') == epoch then
  local key = P .. 'h:' .. conversation
  for i = 8, #ARGV do redis.call('RPUSH', key, ARGV[i]) end
  redis.call('EXPIRE', key, ARGV[7])
end
close(id, state, event)
settle(held.lane)
return 1
