-- Does the same as `gcra::charge` and `gcra::refund`, to the nanosecond: in one step on the server that nodes share, by
-- its clock.
--
-- Numbers are doubles here, and can't hold the nanoseconds since 1970. So an instant, and the time that requests take
-- to come back, is two of them: whole seconds, and nanoseconds.
--
-- KEYS[1]      the bucket: the instant at which it is full again, as in `1769846400.016949153`
-- ARGV[1], [2] what the request costs; both parts are negative to give it back
-- ARGV[3], [4] what the whole bucket holds
-- ARGV[5]      for how many milliseconds more than it takes to be full again the bucket is kept
-- ARGV[6], [7] the instant, in tests that bring their own
--
-- Answers with what was used before this request.

local BILLION = 1000000000

-- Brings the nanoseconds of a sum or a difference back below a second.
local function pair(seconds, nanoseconds)
  if nanoseconds < 0 then
    return seconds - 1, nanoseconds + BILLION
  elseif nanoseconds >= BILLION then
    return seconds + 1, nanoseconds - BILLION
  end
  return seconds, nanoseconds
end

local function is_more(seconds, nanoseconds, other, other_nanoseconds)
  return seconds > other or seconds == other and nanoseconds > other_nanoseconds
end

local cost, cost_ns = tonumber(ARGV[1]), tonumber(ARGV[2])
local all, all_ns = tonumber(ARGV[3]), tonumber(ARGV[4])
local now, now_ns = tonumber(ARGV[6]), tonumber(ARGV[7])
if not now then
  local time = redis.call('TIME')
  now, now_ns = tonumber(time[1]), tonumber(time[2]) * 1000
end

local kept = redis.pcall('GET', KEYS[1])
local used, used_ns = 0, 0
if type(kept) == 'table' then
  return kept
elseif kept then
  local tat, tat_ns = string.match(kept, '^(%d+)%.(%d%d%d%d%d%d%d%d%d)$')
  if not tat then
    return redis.error_reply('CORRUPT no instant is kept in the bucket')
  end
  used, used_ns = pair(tonumber(tat) - now, tonumber(tat_ns) - now_ns)
  if used < 0 then
    used, used_ns = 0, 0
  elseif is_more(used, used_ns, all, all_ns) then
    used, used_ns = all, all_ns
  end
elseif cost < 0 or cost_ns < 0 then
  return { 0, 0 }
end

local after, after_ns = pair(used + cost, used_ns + cost_ns)
if after < 0 then
  after, after_ns = 0, 0
elseif is_more(after, after_ns, all, all_ns) then
  after, after_ns = used, used_ns
end
local full_at = string.format('%.0f.%09.0f', pair(now + after, now_ns + after_ns))
if full_at ~= kept then
  local milliseconds = after * 1000 + math.ceil(after_ns / 1000000) + ARGV[5]
  redis.call('SET', KEYS[1], full_at, 'PX', string.format('%.0f', milliseconds))
end
return { used, used_ns }
