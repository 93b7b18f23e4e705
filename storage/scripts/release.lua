-- id fence delay failed(0|1) failure_limit -> 1, or 0 when the fence is lost: back to the head of the lane
local held = holds(ARGV[1], ARGV[2])
if not held then return 0 end
put_back(ARGV[1], held.lane, ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
return 1
