-- The rules of the queue, in front of every script. Keys: see storage/keys.py. All times in ms, by the server's clock.
--
-- A job is in one place: in its lane (state queued), running (act and lease), or closed (done, failed, cancelled).
-- A lane that is not empty is in one of: ring (its turn will come), delayed (its head is not due yet), act (one runs).
local P = KEYS[1]
local RING, ACTIVE, LEASE, DELAYED = P .. 'ring', P .. 'act', P .. 'lease', P .. 'delayed'
local WAKE, COUNTS, USES, SIZES = P .. 'wake', P .. 'counts', P .. 'imguse', P .. 'imgsize'
local PASSING_TTL, JOB_TTL, SLOTS_TTL, PHOTO_TTL = 3600, 86400, 2592000, 604800

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function job(id) return P .. 'j:' .. id end
local function lane_of(name) return P .. 'l:' .. name end
local function count(field, by) redis.call('HINCRBY', COUNTS, field, by) end

-- One token is enough: who takes it claims all it can and leaves another if the ring is not empty.
local function wake()
  if redis.call('LLEN', WAKE) == 0 then redis.call('LPUSH', WAKE, 1) end
end

local function ring(name, priority)
  redis.call('ZADD', RING, redis.call('HINCRBY', COUNTS, 'seq', 1) - tonumber(priority or 0), name)
  wake()
end

-- Put a lane where it belongs; call it whenever its head or its running ask changed.
local function settle(name)
  redis.call('ZREM', RING, name)
  redis.call('ZREM', DELAYED, name)
  local head = redis.call('LINDEX', lane_of(name), 0)
  if not head or redis.call('HEXISTS', ACTIVE, name) == 1 then return end
  local fields = redis.call('HMGET', job(head), 'due', 'priority')
  local due = tonumber(fields[1] or 0)
  if due > now() then
    redis.call('ZADD', DELAYED, due, name)
    wake()  -- who waits already must learn until when
  else
    ring(name, fields[2])
  end
end

local function publish(outbox, id, event)
  redis.call('PUBLISH', P .. 'ev:' .. outbox, cjson.encode({id = id, event = event}))
end

local function tell(id, event) publish(redis.call('HGET', job(id), 'outbox'), id, event) end

-- A photo that an ask waits for does not expire; its time begins when the last of them is closed.
local function use_photos(members, by)
  for member in string.gmatch(members or '', '%S+') do
    local photo = P .. 'img:' .. member
    if redis.call('HINCRBY', USES, member, by) > 0 then
      redis.call('PERSIST', photo)
    else
      redis.call('HDEL', USES, member)
      redis.call('EXPIRE', photo, redis.call('HGET', COUNTS, 'photo_ttl') or PHOTO_TTL)
    end
  end
end

-- The newest use is the last in the index, also when the clock was set back.
local function touch(member)
  local last = redis.call('ZRANGE', P .. 'imgs', -1, -1, 'WITHSCORES')[2] or 0
  redis.call('ZADD', P .. 'imgs', math.max(now(), last + 1), member)
end

local function drop_photo(member)
  redis.call('UNLINK', P .. 'img:' .. member)
  redis.call('ZREM', P .. 'imgs', member)
  redis.call('HINCRBY', SIZES, 'total', 0 - (redis.call('HGET', SIZES, member) or 0)) -- Redis 7 writes -(0) as "-0"
  redis.call('HDEL', SIZES, member)
end

-- The running ask `id` under `fence`, or nil: every write of a worker passes through here.
local function holds(id, fence)
  local f = redis.call('HMGET', job(id), 'state', 'fence', 'lane', 'cancel')
  if f[1] == 'running' and f[2] == fence then return {lane = f[3], cancelled = f[4] == '1'} end
  return nil
end

local function stop_running(id, name, fence)
  redis.call('HDEL', ACTIVE, name)
  redis.call('ZREM', LEASE, id)
  redis.call('DEL', P .. 't:' .. id .. ':' .. fence)
end

-- Close a job that is neither in its lane nor running any more: exactly one entry reaches its outbox.
local function close(id, state, event)
  local f = redis.call('HMGET', job(id), 'outbox', 'passing', 'photos', 'fence')
  local entry = redis.call('XADD', P .. 'out:' .. f[1], '*', 'id', id, 'event', event, 'fence', f[4])
  redis.call('HSET', job(id), 'state', state, 'entry', entry)
  use_photos(f[3], -1)
  count(state, 1)
  if f[2] == '1' then
    redis.call('EXPIRE', P .. 'out:' .. f[1], PASSING_TTL)
    redis.call('EXPIRE', job(id), JOB_TTL)
  end
end

-- Whether a turn of the history is this ask's. In JSON every quote inside of a string is escaped.
local function is_of(turn, id) return turn and string.find(turn, '"ask":"' .. id .. '"', 1, true) ~= nil end

local function partial(id, fence)
  return cjson.encode({type = 'cancelled', text = redis.call('GET', P .. 't:' .. id .. ':' .. fence) or ''})
end

-- A running ask goes back to the head of its lane (its text is dead), or is closed: when its asker stopped it
-- meanwhile, or when it failed for the `limit`-th time (0: no limit). Each failure parks its lane longer: an ask that
-- breaks the engine must not break it for everybody, and an engine that dies often must not use up an ask's tries.
local function put_back(id, name, fence, delay, failed, limit)
  local cancelled = redis.call('HGET', job(id), 'cancel') == '1'
  local event = cancelled and partial(id, fence)
  stop_running(id, name, fence)
  local failures = redis.call('HINCRBY', job(id), 'failures', failed)
  if failed == 1 then delay = math.min(250 * 2 ^ failures, 4000) end
  if cancelled then
    close(id, 'cancelled', event)
  elseif limit > 0 and failures >= limit then
    close(id, 'failed', cjson.encode({type = 'failed', code = 'gave_up'}))
  else
    redis.call('HSET', job(id), 'state', 'queued', 'due', delay > 0 and now() + delay or 0)
    redis.call('LPUSH', lane_of(name), id)
    count('queued', 1)
    tell(id, {type = 'waiting', reason = 'again'})
  end
  settle(name)
end
