-- member bytes ttl cap -> 1, or 0 when the cap is reached and what could make room is in use
local member, bytes, ttl, cap = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local function original(other) return string.find(other, '.full', 1, true) ~= nil end

local over = (redis.call('HGET', SIZES, 'total') or 0) - (redis.call('HGET', SIZES, member) or 0) + #bytes - cap
-- Nothing is dropped before there is room for sure: a photo that is refused costs nobody theirs.
local victims, at = {}, 0
while over > 0 do
  local oldest = redis.call('ZRANGE', P .. 'imgs', at, at + 99)
  if #oldest == 0 then return 0 end
  at = at + 100
  local sizes, uses = redis.call('HMGET', SIZES, unpack(oldest)), redis.call('HMGET', USES, unpack(oldest))
  for i, other in ipairs(oldest) do
    local idle = other ~= member and tonumber(uses[i] or 0) <= 0
    if over > 0 and idle and (original(other) or not original(member)) then -- no photo goes for an original
      table.insert(victims, other)
      over = over - sizes[i]
    end
  end
end
for _, victim in ipairs(victims) do drop_photo(victim) end
drop_photo(member)
redis.call('SET', P .. 'img:' .. member, bytes, 'EX', ttl)
if not original(member) then redis.call('HSET', COUNTS, 'photo_ttl', ttl) end
if redis.call('HEXISTS', USES, member) == 1 then redis.call('PERSIST', P .. 'img:' .. member) end
touch(member)
redis.call('HSET', SIZES, member, #bytes)
redis.call('HINCRBY', SIZES, 'total', #bytes)
return 1
