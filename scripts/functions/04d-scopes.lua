-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Scopes: what is counted together, by which limits.  All of a record's, or, of a
-- user, what is sent as one domain.  A table:
--   l               the limits
--   window, buckets  the counters of the quota and of the rates
--   kind            what comes before quota and rate in their names
--   domain          the sender domain, or ""
--   lasts           seconds that a window lasts at least, should its period be
--                   made longer
--   start, count    the window, and levels, the buckets, once they were read
--
-- Its place is what a charge has taken in it: "START BORN NUMBER", the window and
-- the place among the charges of the rates, 0 for none.

local scopes = {}

do

local WINDOW = 35 * 86400	-- seconds that a window may be extended for

function scopes.of_record(keys, l)
	return { l = l, window = keys[2], buckets = keys[3], kind = '',
	    domain = '', lasts = WINDOW }
end

function scopes.of_sender(keys, l, domain)
	local key = keys[1] .. ':used:senders'
	return { l = l, window = { key = key, field = domain .. '/quota' },
	    buckets = { key = key, field = domain .. '/rate' },
	    kind = 'sender_', domain = domain, lasts = 0 }
end

-- A limit without room: which it is, of how much, in which period; the seconds
-- until it has, none where it never can have; the key that cannot be read; the
-- sender domain that it is of.
function scopes.full(scope, which, n, period, units, seconds, key)
	return { 'full', scope.kind .. which, string.format('%.0f', n), period,
	    units > n and '' or string.format('%.0f', math.ceil(seconds)),
	    key or '', scope.domain ~= '' and scope.domain or nil }
end

local full = scopes.full

local function quota_refusal(scope, units, time)
	local l = scope.l
	scope.start, scope.count = windows.read(scope.window, l.period, time)
	if not scope.start then
		return full(scope, 'quota', l.quota, l.period_text, units,
		    l.period, counters.key(scope.window))
	elseif scope.count + units > l.quota then
		return full(scope, 'quota', l.quota, l.period_text, units,
		    (scope.start + l.period * 1000000 - time) / 1000000)
	end
	return nil
end

local function rate_refusal(scope, rate, bucket, units, unread)
	if not bucket then
		return full(scope, 'rate', rate.n, rate.period_text, units,
		    rate.period, unread)
	end
	local seconds = buckets.wait(bucket, rate, units)
	return seconds and full(scope, 'rate', rate.n, rate.period_text, units,
	    math.max(1, seconds)) or nil
end

-- The first limit that has no room, or nil.  What was read is in the scope then.
function scopes.refusal(scope, units, time)
	local l, unread = scope.l, nil
	local why = l.quota > 0 and quota_refusal(scope, units, time)
	if why then
		return why
	end
	scope.levels, unread = buckets.read(scope.buckets, l, time)
	for _, rate in ipairs(l.rates) do
		why = rate_refusal(scope, rate, scope.levels and
		    scope.levels.of[rate.period], units, unread)
		if why then
			return why
		end
	end
	return nil
end

local function set_window(scope, start, count, period, time)
	windows.write(scope.window, start, count,
	    math.max(period, scope.lasts), time)
end

-- Behind a refusal that was none: the place of the charge.
function scopes.charge(scope, units, time)
	local number, l, levels = 0, scope.l, scope.levels
	if l.quota > 0 then
		set_window(scope, scope.start, scope.count + units, l.period,
		    time)
	end
	if levels then
		number = buckets.charge(scope.buckets, l, levels, units, time)
	end
	return string.format('%.0f %.0f %.0f', scope.start or 0,
	    levels and levels.born or 0, number)
end

-- Until when something of a charge is left, in microseconds.
function scopes.ending(scope)
	local l, levels = scope.l, scope.levels
	return math.max(levels and levels.ending or 0,
	    l.quota > 0 and scope.start + l.period * 1000000 or 0)
end

-- Of a place: what is kept cannot be given back any more.
function scopes.keep(place, time)
	buckets.settle(place.scope.buckets, place.born, place.number, 0, time)
end

-- In the window, by its present period, and in the counter that it came from; in
-- the latter alone where there is no period.
function scopes.give_back(place, units, period, time)
	local scope = place.scope
	local start, count
	if period then
		start, count = windows.read(scope.window, period, time)
	end
	if start and start == place.start and count > 0 then
		set_window(scope, start, math.max(0, count - units), period,
		    time)
	end
	buckets.settle(scope.buckets, place.born, place.number, units, time)
end

end
