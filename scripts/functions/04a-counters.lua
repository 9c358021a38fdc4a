-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Counters, each of which is a key or a field of a hash, and windows, the first
-- kind of what they hold: "START COUNT", when the window began, in microseconds,
-- and what was charged in it.  What is used is counted by periods and in messages,
-- whatever the limits are: a new limit finds what the former one has counted.  A
-- counter that is there and cannot be read is a limit that is used up, never an
-- empty one.
--
-- A counter is the name of a key, or a table: key, field; over, once what it
-- holds does not count any more.

local counters, windows = {}, {}

do

counters.TIME_MAX = 2 ^ 53	-- microseconds, exact in a number of Lua
local WINDOW_MAX = 64		-- bytes of a window

function counters.key(counter)
	return type(counter) == 'string' and counter or counter.key
end

local function read_any(counter)
	if type(counter) == 'string' then
		return reply_or_nil(redis.pcall('GET', counter))
	end
	local text = reply_or_nil(redis.pcall('HGET', counter.key,
	    counter.field))
	return text and not counter.over and text
end

-- What one holds: false for nothing, nil where it is no text, or one of more
-- bytes than there can be.  Users may write their own.
function counters.read(counter, most)
	local text = read_any(counter)
	left.counted = left.counted - #(text or '')
	if text and #text > most then
		return nil
	end
	return text
end

-- It is forgotten after so many microseconds, by its key or by whoever has a
-- field.  Without a text, at once.
function counters.write(counter, text, left)
	if type(counter) ~= 'string' and text then
		redis.call('HSET', counter.key, counter.field, text)
	elseif type(counter) ~= 'string' then
		redis.call('HDEL', counter.key, counter.field)
	elseif text then
		redis.call('SET', counter, text, 'PX',
		    math.max(1, math.ceil(left / 1000)))
	else
		redis.call('DEL', counter)
	end
end

-- The window that is open by the present period: when it began, what was
-- charged in it.  When there is none, it would begin now.  One that begins later
-- than now is open: the clock went back, as it may when a replica takes over.
-- Where it was further ahead than a period, nobody waits for that time: it begins
-- now.  Nil where it cannot be read.
function windows.read(counter, period, time)
	local text = counters.read(counter, WINDOW_MAX)
	local start, count = string.match(text or '', '^(%d+) (%d+)$')
	start, count = tonumber(start), tonumber(count)
	if text == false then
		return time, 0
	elseif not start or start > counters.TIME_MAX or
	    count > 2 * COUNT_MAX then
		return nil
	elseif time >= start + period * 1000000 then
		return time, 0
	elseif start > time + period * 1000000 then
		return time, count
	end
	return start, count
end

-- It lasts so many seconds from its start.  Nothing in it: the next message begins
-- another.
function windows.write(counter, start, count, lasts, time)
	counters.write(counter, count > 0 and string.format('%.0f %.0f', start,
	    count), start + lasts * 1000000 - time)
end

end
