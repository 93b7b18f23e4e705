-- platform update seen_ttl raw -> 1, or 0 for an update that came before
if not redis.call('SET', P .. 'seen:' .. ARGV[1] .. ':' .. ARGV[2], 1, 'NX', 'EX', ARGV[3]) then return 0 end
redis.call('XADD', P .. 'in:' .. ARGV[1], '*', 'raw', ARGV[4])
return 1
