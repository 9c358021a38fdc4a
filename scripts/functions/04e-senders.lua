-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Sender domains of a user, each of which is a scope.  Beside their counters:
--   user:{NAME}:used:senders  a hash: of each domain the fields DOMAIN/quota and
--                             DOMAIN/rate, which are counters
--   user:{NAME}:used:senders:until
--                             a sorted set of the domains, each with the
--                             milliseconds since 1970 until which something is
--                             left of what it has used: what is not in it is not
--                             counted

local senders = {}

do

local SENDERS_MAX = 5000	-- domains of a user that are counted at once
local SWEPT = 16		-- that go with a charge, when they are over

-- A time as the set of domains has it.  One that is less than now is over.
local function milliseconds(time)
	return string.format('%.0f', math.ceil(time / 1000))
end

-- Until when the counters of a domain are, in milliseconds; nil for no domain
-- that is counted, math.huge where that cannot be read.  What is over is as if it
-- were not there.
local function counted_until(key, scope, time)
	local score = reply_or_nil(redis.pcall('ZSCORE', key, scope.domain))
	if score == nil then
		return math.huge
	end
	scope.window.over = not score or tonumber(score) < time / 1000
	scope.buckets.over = scope.window.over
	return not scope.window.over and tonumber(score) or nil
end

-- Why one more domain may not be counted, or nil.  Whoever may send as any domain
-- can think of very many: those that are counted already, and those assigned to
-- the user, have room all the same.
local function count_refusal(scope, key, keys, time)
	local at = milliseconds(time)
	if redis.call('ZCOUNT', key, at, '+inf') < SENDERS_MAX or redis.pcall(
	    'SISMEMBER', keys[1] .. ':domains', scope.domain) == 1 then
		return nil
	end
	local first = redis.call('ZRANGEBYSCORE', key, at, '+inf', 'WITHSCORES',
	    'LIMIT', '0', '1')
	return scopes.full(scope, 'count', SENDERS_MAX, scope.l.period_text, 1,
	    math.max(1, (tonumber(first[2]) - time / 1000) / 1000))
end

local function sender_refusal(call, scope)
	local key, time = scope.window.key .. ':until', call.time
	local score = counted_until(key, scope, time)
	if score == math.huge then
		return scopes.full(scope, 'count', SENDERS_MAX,
		    scope.l.period_text, 1, scope.l.period, key)
	end
	return scopes.refusal(scope, call.units, time) or not score and
	    count_refusal(scope, key, call.keys, time) or nil
end

-- Why one of the domains of a call has no room, or nil and their scopes.
function senders.refusal(call, l)
	local found = {}
	for i, domain in ipairs(l.sender and call.tagged.senders or {}) do
		found[i] = scopes.of_sender(call.keys, l.sender, domain)
		local why = sender_refusal(call, found[i])
		if why then
			return why
		end
	end
	return nil, found
end

local function forget(key, domain)
	redis.call('HDEL', key, domain .. '/quota', domain .. '/rate')
	redis.call('ZREM', key .. ':until', domain)
end

-- Some of those that are over go: more than come.
local function sweep(key, time)
	for _, domain in ipairs(redis.call('ZRANGEBYSCORE', key .. ':until',
	    '-inf', '(' .. milliseconds(time), 'LIMIT', '0',
	    tostring(SWEPT))) do
		forget(key, domain)
	end
end

-- The place of the charge.  All are kept until the last of them is over, whatever
-- limits there are by now.
function senders.charge(call, scope)
	local key, time = scope.window.key, call.time
	if scope.window.over then
		forget(key, scope.domain)
	end
	local place = scopes.charge(scope, call.units, time)
	local ending = scopes.ending(scope)
	redis.call('ZADD', key .. ':until', milliseconds(ending), scope.domain)
	sweep(key, time)
	local left = string.format('%.0f',
	    math.max(0, math.ceil((ending - time) / 1000000)) + 1)
	for _, one in ipairs({ key, key .. ':until' }) do
		redis.call('EXPIRE', one, left, 'NX')
		redis.call('EXPIRE', one, left, 'GT')
	end
	return place
end

-- Behind what was given back: one of which nothing is left goes.
function senders.tidy(scope)
	if counters.read(scope.window, 0) == false and
	    counters.read(scope.buckets, 0) == false then
		forget(scope.window.key, scope.domain)
	end
end

-- A page of those that are counted, and where the next one begins; 0: nowhere.
function senders.page(user, from, time)
	local names = redis.call('ZRANGEBYSCORE', user .. ':used:senders:until',
	    milliseconds(time), '+inf', 'LIMIT', tostring(from),
	    tostring(LIMITS.page))
	return names, #names < LIMITS.page and 0 or from + #names
end

end
