-- id fence ttl text -> 1, or 0 when the fence is lost: append to the answer and announce it
local id, fence, ttl, text = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not holds(id, fence) then return 0 end
local key = P .. 't:' .. id .. ':' .. fence
local length = redis.call('APPEND', key, text)
redis.call('EXPIRE', key, ttl)
tell(id, {type = 'delta', fence = tonumber(fence), offset = length - #text, text = text})
return 1
