-- person: all photos of theirs go, in use or not; without one, the records of photos that have expired
local person = ARGV[1]
for _, member in ipairs(redis.call('HKEYS', SIZES)) do
  local owner = string.match(member, '^(.*)|')  -- the field "total" has none
  if owner and (owner == person or not person and redis.call('EXISTS', P .. 'img:' .. member) == 0) then
    drop_photo(member)
  end
end
