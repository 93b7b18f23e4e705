-- id fence state event conversation epoch history_ttl first view turn* -> 1, or 0 when the fence is lost or the ask is closed

-- Where an ask's first turn stands in a history, from 0; nil when it has none there.
local function first_turn(key, of)
  for i, turn in ipairs(redis.call('LRANGE', key, 0, -1)) do
    if is_of(turn, of) then return i - 1 end
  end
end

local id, fence, state, event, conversation, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local held = holds(id, fence)
if not held then return 0 end
stop_running(id, held.lane, fence)
-- The turns enter the history in the same step: an ask that is answered twice is never remembered twice, and one that
-- is answered anew takes the place of its former turns. Not after a fresh start: that conversation is over.
if #ARGV > 9 and (redis.call('GET', P .. 'e:' .. conversation) or '0') == epoch then
  local key = P .. 'h:' .. conversation
  local former = redis.call('HGET', job(id), 'turns') and first_turn(key, id)
  for i = 10, #ARGV do
    if former then redis.call('LSET', key, former + i - 10, ARGV[i]) else redis.call('RPUSH', key, ARGV[i]) end
  end
  -- What the engine is no longer given goes: else a conversation of years is read whole with every question.
  local first = ARGV[8] ~= '' and first_turn(key, ARGV[8])
  if first then redis.call('LTRIM', key, first, -1) end
  redis.call('EXPIRE', key, ARGV[7])
  if ARGV[9] ~= '' then
    local view = P .. 'view:' .. conversation
    redis.call('HSET', view, 'now', ARGV[9])
    if ARGV[8] ~= '' then redis.call('HSET', view, 'dropped', ARGV[9]) end
    redis.call('EXPIRE', view, ARGV[7])
  end
  redis.call('HSET', job(id), 'turns', 1)
  redis.call('HDEL', job(id), 'question')
end
close(id, state, event)
settle(held.lane)
return 1
