-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Failed logins of a source.  One stored time says all, as with a rate: when
-- so much time will have gone by that nothing is left of the failures.  Each
-- adds its share of the period.  The keys are those of the source and of its
-- right logins; the arguments, how many failures in how many seconds.

do

local KNOWN_FOR = 86400		-- seconds that a right login is remembered
local KNOWN_TIMES = 4		-- as many failures are allowed then
local DIGITS = 16		-- of a number, and of a time in microseconds

-- The share of a failure and the period, in microseconds.
local function share_of(keys, args)
	local limit = parse_digits(args[1] or '', DIGITS) or 0
	local seconds = parse_digits(args[2] or '', DIGITS) or 0
	if #keys ~= 2 or #args ~= 2 or limit < 1 or seconds < 1 then
		fail('INVALID', 'the call takes two keys, a limit, and a ' ..
		    'period in seconds')
	end
	if redis.call('GET', keys[2]) then
		limit = limit * KNOWN_TIMES
	end
	return seconds * 1000000 / limit, seconds * 1000000
end

-- When nothing is left of the failures.  What cannot be read is as many as there
-- may be.
local function cleared_at(key, period, at)
	local stored = redis.call('GET', key)
	if not stored then
		return at
	end
	local time = parse_digits(stored, DIGITS) or 0
	return time == 0 and at + period or
	    math.min(math.max(time, at), at + 2 * period)
end

-- How many seconds until one more failure has room; 0: there is.
function api.failures(keys, args)
	local share, period = share_of(keys, args)
	local at = now()
	local over = cleared_at(keys[1], period, at) + share - (at + period)
	return over <= 0 and 0 or math.ceil(over / 1000000)
end

-- However many come from sessions that are open still, the source is refused
-- for a period at most.
function api.login_failed(keys, args)
	local share, period = share_of(keys, args)
	local at = now()
	local time = math.min(cleared_at(keys[1], period, at) + share,
	    at + 2 * period)
	redis.call('SET', keys[1], string.format('%.0f', time), 'PX',
	    string.format('%.0f', math.ceil((time - at) / 1000)))
	return redis.status_reply('OK')
end

-- What failed is not forgotten for it: who has one password right may still
-- guess others.
function api.login_passed(keys, args)
	share_of(keys, args)
	redis.call('SET', keys[2], '1', 'EX', KNOWN_FOR)
	return redis.status_reply('OK')
end

end
