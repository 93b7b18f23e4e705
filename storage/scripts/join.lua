-- digest of a code, person -> "ok", "own" or "wrong"
-- All who are one with the code's issuer and all who are one with this person become one, the issuer's first. A code is
-- good once: what says that it is open goes with its use. Whose it was is known for longer, so a repeat is "ok".
local digest, person = ARGV[1], ARGV[2]
local JOINED = P .. 'joined'

local function group_of(one) return redis.call('HGET', JOINED, one) or one end

local issuer = redis.call('GET', P .. 'linkcode:' .. digest)
if not issuer then return 'wrong' end
if issuer == person then return 'own' end
local open = redis.call('GET', P .. 'linkopen:' .. issuer) == digest
if open then redis.call('DEL', P .. 'linkopen:' .. issuer) end
local first, second = group_of(issuer), group_of(person)
if first == second then return 'ok' end
if not open then return 'wrong' end
local all = first .. ' ' .. second
for member in string.gmatch(all, '%S+') do redis.call('HSET', JOINED, member, all) end
return 'ok'
