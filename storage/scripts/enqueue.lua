-- id lane outbox passing conversation epoch photos priority limit lane_limit payload question
-- -> "ok", "duplicate", "draining", "full" or "lane_full"
local id, name, outbox, passing, conversation, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local photos, priority, limit, lane_limit = ARGV[7], ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
if redis.call('EXISTS', job(id)) == 1 then return 'duplicate' end
if redis.call('GET', P .. 'mode') == 'draining' then return 'draining' end
if tonumber(redis.call('HGET', COUNTS, 'queued') or 0) >= limit then return 'full' end
if redis.call('LLEN', lane_of(name)) >= lane_limit then return 'lane_full' end
redis.call('HSET', job(id), 'state', 'queued', 'lane', name, 'payload', ARGV[11], 'question', ARGV[12], 'fence', 0,
  'failures', 0, 'due', 0, 'outbox', outbox, 'passing', passing, 'conversation', conversation, 'epoch', epoch,
  'photos', photos, 'priority', priority)
redis.call('SADD', P .. 'open:' .. outbox, id)
if passing == '1' then redis.call('EXPIRE', P .. 'open:' .. outbox, PASSING_TTL) end
use_photos(photos, 1)
count('queued', 1)
-- A lane that already waits keeps its turn; one that was empty and does not run is nowhere yet.
if redis.call('RPUSH', lane_of(name), id) == 1 and redis.call('HEXISTS', ACTIVE, name) == 0 then ring(name, priority) end
return 'ok'
