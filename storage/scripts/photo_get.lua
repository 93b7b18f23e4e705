-- member+ -> the bytes of each, or false; what was found counts as used now
local photos = {}
for i, member in ipairs(ARGV) do photos[i] = P .. 'img:' .. member end
local found = redis.call('MGET', unpack(photos))
for i, member in ipairs(ARGV) do
  if found[i] then touch(member) end
end
return found
