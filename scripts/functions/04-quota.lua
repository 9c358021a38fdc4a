-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Quotas and rates, judged and charged in one step.
--
-- Keys of every function, all in the user's slot:
--   1  user:{NAME}               the record, for quota, quota_period and rate
--   2  user:{NAME}:used:quota    "START COUNT": when the window began, in
--                                microseconds, and what was charged in it
--   3  user:{NAME}:used:rate     its prefix: ":N/PERIOD" is appended, one key
--                                a rate: "TIME LEVEL", the level of the bucket
--                                at that time
--   4  user:{NAME}:used:hold:ID  a reservation: "held UNITS START TIME RATE..."
--                                while it can be given back, START 0 where
--                                no quota was charged; "kept" once it
--                                cannot, "void" once it is

local HOLD = 3600	-- seconds that a reservation can be given back for
local TIME_MAX = 2 ^ 53	-- microseconds, exact in a number of Lua
local KEPT = 300	-- and that a retry of one may come late by

-- The limits of a user, or nil and what is wrong with them.
local function limits(key, default_period)
	local v = redis.call('HMGET', key, 'quota', 'quota_period', 'rate')
	local quota = parse_count(v[1] or '0')
	local text = v[2] or period_text(default_period)
	local period = parse_period(text)
	local rates = parse_rates(v[3] or '')
	if rates and #rates > RATES_MAX then
		rates = nil
	end
	if v[1] == '' then
		quota = 0
	end
	if v[2] == '' then
		text = period_text(default_period)
		period = parse_period(text)
	end
	if not quota then
		return nil, 'quota'
	elseif not period then
		return nil, 'quota_period'
	elseif not rates then
		return nil, 'rate'
	end
	return { quota = quota, period = period, period_text = text,
	    rates = rates }
end

-- The window that is open: when it began, what was charged in it.  When there
-- is none, it would begin now.  One that begins later than now is open: the
-- clock went back, as it may when a replica takes over.  Where numbers are
-- beyond any that are written here, it is full.
local function window(key, period, time)
	local start, count = string.match(redis.call('GET', key) or '',
	    '^(%d+) (%d+)$')
	start, count = tonumber(start), tonumber(count)
	if start and (start > TIME_MAX or count > COUNT_MAX) then
		return math.min(start, time), COUNT_MAX
	elseif not start or time >= start + period * 1000000 then
		return time, 0
	end
	return start, count
end

-- The level of a rate's bucket, which leaks N in every PERIOD: GCRA with a
-- burst of N, counted in messages so that a burst is exact.  And the time of that
-- level, which is later than now when the clock went back.  Where numbers are
-- beyond any that are written here, it is full.
local function level(key, rate, time)
	local at, amount = string.match(redis.call('GET', key) or '',
	    '^(%d+) ([%d.e+-]+)$')
	at, amount = tonumber(at), tonumber(amount)
	if not at or not amount then
		return 0, time
	elseif at > TIME_MAX or amount < 0 or amount > COUNT_MAX + 1 then
		return rate.n, time
	elseif time <= at then
		return amount, at
	end
	amount = amount - (time - at) * rate.n / (rate.period * 1000000)
	return math.max(0, amount), time
end

local function set_window(key, start, count, period, time)
	redis.call('SET', key, string.format('%.0f %.0f', start, count), 'PX',
	    math.max(1, math.ceil((start + period * 1000000 - time) / 1000)))
end

-- Adds to the bucket, or takes from it.
local function add_level(key, rate, units, time)
	local amount, at = level(key, rate, time)
	amount = amount + units
	local left = amount * rate.period * 1000 / rate.n + (at - time) / 1000
	if amount <= 0 then
		redis.call('DEL', key)
		return
	end
	redis.call('SET', key, string.format('%.0f %.17g', at, amount), 'PX',
	    math.max(1, math.ceil(left)))
end

-- A limit without room: which it is, of how much, in which period, and the
-- seconds until it has; none where it never can have.
local function full(which, n, period, units, seconds)
	return { which, string.format('%.0f', n), period,
	    units > n and '' or string.format('%.0f', math.ceil(seconds)) }
end

-- The first limit that has no room for so many more.
local function refusal(keys, l, units, time)
	if l.quota > 0 then
		local start, count = window(keys[2], l.period, time)
		if count + units > l.quota then
			return full('quota', l.quota, l.period_text, units,
			    (start + l.period * 1000000 - time) / 1000000)
		end
	end
	for _, rate in ipairs(l.rates) do
		local amount = level(keys[3] .. ':' .. rate.name, rate, time)
		local over = amount + units - rate.n
		if over > 1e-6 then
			return full('rate', rate.n,
			    string.match(rate.text, '/(.*)$'), units,
			    math.max(1, over * rate.period / rate.n))
		end
	end
	return nil
end

local function charge(keys, l, units, time)
	local start, count = window(keys[2], l.period, time)
	local hold = { 'held', string.format('%.0f', units),
	    string.format('%.0f', l.quota > 0 and start or 0),
	    string.format('%.0f', time) }
	if l.quota > 0 then
		set_window(keys[2], start, count + units, l.period, time)
	end
	for _, rate in ipairs(l.rates) do
		add_level(keys[3] .. ':' .. rate.name, rate, units, time)
		hold[#hold + 1] = rate.name
	end
	redis.call('SET', keys[4], table.concat(hold, ' '), 'EX', HOLD)
end

-- check: DEFAULT_PERIOD UNITS -> {"ok"}, {"full", which, limit, period,
-- seconds} or {"bad", field}, seconds empty where the limit is below the units.
-- Changes nothing.
local function check(keys, args)
	local l, bad = limits(keys[1], args[1])
	if not l then
		return { 'bad', bad }
	end
	local why = refusal(keys, l, tonumber(args[2]), now())
	if why then
		return { 'full', why[1], why[2], why[3], why[4] }
	end
	return { 'ok' }
end

-- reserve: the same, and charges all limits if all have room.  Asked again
-- with the same key 4, it answers the same and charges nothing; given back
-- already, {"void"}.
local function reserve(keys, args)
	local hold = redis.call('GET', keys[4])
	if hold then
		-- WAIT counts from the last write of its own connection.
		redis.call('SET', keys[4], hold, 'KEEPTTL')
		return { hold == 'void' and 'void' or 'ok' }
	end
	local l, bad = limits(keys[1], args[1])
	if not l then
		return { 'bad', bad }
	end
	local units, time = tonumber(args[2]), now()
	local why = refusal(keys, l, units, time)
	if why then
		return { 'full', why[1], why[2], why[3], why[4] }
	end
	charge(keys, l, units, time)
	return { 'ok' }
end

-- keep: what is reserved stays charged.  That it was is remembered a while, for
-- a reservation that had been sent twice.
local function keep(keys)
	redis.call('SET', keys[4], 'kept', 'EX', KEPT)
	return { 'ok' }
end

local function give_back_window(keys, units, start, period, time)
	local current, count = window(keys[2], period, time)
	if current ~= start or count == 0 then
		return
	end
	set_window(keys[2], start, math.max(0, count - units), period, time)
end

-- What has leaked since is not there any more to be given back.
local function give_back_rate(key, rate, units, charged, time)
	local leaked = math.max(0, time - charged) * rate.n /
	    (rate.period * 1000000)
	if units > leaked then
		add_level(key, rate, leaked - units, time)
	end
end

-- refund: DEFAULT_PERIOD.  Gives a reservation back, in the window that it
-- came from.  Whatever comes for it later is void, be it a refund again or
-- the reservation itself, which may have been under way on a connection lost.
local function refund(keys, args)
	local hold = redis.call('GET', keys[4]) or ''
	local units, start, charged, rest = string.match(hold,
	    '^held (%d+) (%d+) (%d+)(.*)$')
	local time = now()

	if hold == 'kept' then
		return { 'ok' }
	end
	redis.call('SET', keys[4], 'void', 'EX', HOLD)
	if not units then
		return { 'ok' }
	end
	units, start, charged = tonumber(units), tonumber(start),
	    tonumber(charged)
	local l = limits(keys[1], args[1])
	if l then
		give_back_window(keys, units, start, l.period, time)
	end
	for n, period in string.gmatch(rest, ' (%d+)/(%d+)') do
		local rate = { n = tonumber(n), period = tonumber(period) }
		give_back_rate(keys[3] .. ':' .. n .. '/' .. period, rate,
		    units, charged, time)
	end
	return { 'ok' }
end

-- usage: DEFAULT_PERIOD -> {"ok", {which, limit, period, used, seconds}...}
local function usage(keys, args)
	local l, bad = limits(keys[1], args[1])
	local time = now()
	local out = { 'ok' }
	if not l then
		return { 'bad', bad }
	end
	if l.quota > 0 then
		local start, count = window(keys[2], l.period, time)
		out[2] = { 'quota', string.format('%.0f', l.quota),
		    l.period_text, string.format('%.0f', count),
		    string.format('%.0f', count == 0 and 0 or math.ceil(
		    (start + l.period * 1000000 - time) / 1000000)) }
	end
	for _, rate in ipairs(l.rates) do
		local amount = level(keys[3] .. ':' .. rate.name, rate, time)
		out[#out + 1] = { 'rate', string.format('%.0f', rate.n),
		    string.match(rate.text, '/(.*)$'),
		    string.format('%.0f', math.max(0,
		    math.ceil(amount - 1e-6))),
		    string.format('%.0f', math.ceil(amount * rate.period /
		    rate.n)) }
	end
	return out
end

api.check, api.reserve, api.keep = check, reserve, keep
api.refund, api.usage = refund, usage

