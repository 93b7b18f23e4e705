-- lane, then either "id" ID or "conversation" NAME ("*": all) -> how many waiting and running asks were stopped
-- A waiting ask is closed here; a running one is marked, and its worker closes it within a renewal at the latest.
local name, by, what = ARGV[1], ARGV[2], ARGV[3]
local stopped = 0

local function wanted(id)
  if by == 'id' then return id == what end
  return what == '*' or redis.call('HGET', job(id), 'conversation') == what
end

for _, id in ipairs(redis.call('LRANGE', lane_of(name), 0, -1)) do
  if wanted(id) then
    redis.call('LREM', lane_of(name), 1, id)
    count('queued', -1)
    close(id, 'cancelled', cjson.encode({type = 'cancelled'}))
    stopped = stopped + 1
  end
end
local running = redis.call('HGET', ACTIVE, name)
if running and wanted(running) then
  redis.call('HSET', job(running), 'cancel', 1)
  redis.call('PUBLISH', P .. 'ctl', redis.call('HGET', job(running), 'fence') .. ' ' .. running)
  stopped = stopped + 1
end
-- A waiting lane keeps its turn, unless it is empty now or waited for the due time of an ask that is gone.
if redis.call('LLEN', lane_of(name)) == 0 or redis.call('ZSCORE', DELAYED, name) then settle(name) end
return stopped
