-- person: all photos of theirs go, in use or not; without one, the records of photos that have expired
local person, INDEX, SIZES = ARGV[1], P .. 'imgs', P .. 'imgsize'
for _, member in ipairs(redis.call('HKEYS', SIZES)) do
  local owner = string.match(member, '^(.*)|')  -- the field "total" has none
  local photo = P .. 'img:' .. member
  if owner and (owner == person or not person and redis.call('EXISTS', photo) == 0) then
    redis.call('UNLINK', photo)
    redis.call('ZREM', INDEX, member)
    redis.call('HINCRBY', SIZES, 'total', 0 - redis.call('HGET', SIZES, member))
    redis.call('HDEL', SIZES, member)
  end
end
