-- outbox group entry id -> 1: the reply is whole on its platform; nothing but the tombstone stays
redis.call('XACK', P .. 'out:' .. ARGV[1], ARGV[2], ARGV[3])
redis.call('XDEL', P .. 'out:' .. ARGV[1], ARGV[3])
redis.call('SREM', P .. 'open:' .. ARGV[1], ARGV[4])
redis.call('HDEL', job(ARGV[4]), 'payload', 'photos')
redis.call('EXPIRE', job(ARGV[4]), JOB_TTL)
return 1
