-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Quotas and rates, judged and charged in one step.
--
-- Keys of every function, all in the user's slot:
--   1  user:{NAME}               the record, for quota, quota_period and rate
--   2  user:{NAME}:used:quota    "START COUNT": when the window began, in
--                                microseconds, and what was charged in it
--   3  user:{NAME}:used:rate     "BORN NUMBER TIME" and buckets, see there
--   4  user:{NAME}:used:hold:ID  a reservation: "held UNITS START BORN NUMBER"
--                                while it can be given back, with the window
--                                and the place among the charges of 3 that it
--                                has, 0 for none; "kept" once it cannot, "void"
--                                once it is
--
-- What is used is counted by periods and in messages, whatever the limits are:
-- a new limit finds what the former one has counted.  A counter that is there and
-- cannot be read is a limit that is used up, never an empty one.

local window, usage	-- for the views
do

local HOLD = 3600	-- seconds that a reservation can be given back for
local KEPT = 300	-- and that a retry of one may come late by
local WINDOW = 35 * 86400	-- seconds that a window may be extended for
local TIME_MAX = 2 ^ 53	-- microseconds, exact in a number of Lua
local SPANS_MAX = 256

-- The limits of a user, or nil and what is wrong with them.
local function limits(key, default_period)
	local v = redis.call('HMGET', key, 'quota', 'quota_period', 'rate')
	local quota = parse_count(v[1] or '0')
	local text = v[2] or period_text(default_period)
	local period = parse_period(text)
	local rates = parse_rates(v[3] or '')
	local least = {}
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
	for _, rate in ipairs(rates) do
		least[rate.period] = math.min(rate.n,
		    least[rate.period] or rate.n)
	end
	return { quota = quota, period = period, period_text = text,
	    rates = rates, least = least }
end

-- What a counter holds: false for nothing, nil where it is no string.
local function counter(key)
	local text = redis.pcall('GET', key)
	if type(text) ~= 'table' then
		return text
	elseif string.find(text.err, 'WRONGTYPE', 1, true) then
		return nil
	end
	error({ err = text.err }, 0)
end

-- Windows

-- The window that is open by the present period: when it began, what was
-- charged in it.  When there is none, it would begin now.  One that begins later
-- than now is open: the clock went back, as it may when a replica takes over.
-- Nil where it cannot be read.
function window(key, period, time)
	local text = counter(key)
	local start, count = string.match(text or '', '^(%d+) (%d+)$')
	start, count = tonumber(start), tonumber(count)
	if text == false then
		return time, 0
	elseif not start or start > TIME_MAX or count > 2 * COUNT_MAX then
		return nil
	elseif time >= start + period * 1000000 then
		return time, 0
	end
	return start, count
end

-- It outlives its period: that may be made longer.
local function set_window(key, start, count, period, time)
	local left = start + math.max(period, WINDOW) * 1000000 - time
	redis.call('SET', key, string.format('%.0f %.0f', start, count), 'PX',
	    math.max(1, math.ceil(left / 1000)))
end

-- Buckets
--
-- One for each period of a rate, which leaks N messages in a PERIOD: GCRA with
-- a burst of N.  Its theoretical arrival time is TIME + LEVEL / N: kept apart,
-- the two are whole numbers whatever N is, and the level stays when N changes.
-- A level is in parts of a message of which N leak in a microsecond.  BORN tells
-- this counter from one that was there before, NUMBER counts the charges, TIME is
-- that of the last one.  A bucket is
--
--   PERIOD:N:LEVEL and, for each span, :FIRST:LEAST:COUNT
--
-- A span tells how much can be given back of COUNT reservations that are not
-- settled yet, from the charge FIRST on: no more than LEAST, the least level
-- that a later charge has found, since what leaked before that is not there any
-- more.  So a message that is given back has never been.  The level of a later
-- span is higher.

-- The parts of a message.
local function parts(period)
	return period * 1000000
end

local function read_bucket(word)
	local v = {}
	for digits in string.gmatch(word, '%d+') do
		v[#v + 1] = tonumber(digits)
	end
	if string.find(word, '[^%d:]') or #v < 3 or #v % 3 ~= 0 or v[1] < 1 or
	    v[1] > PERIOD_MAX or v[2] < 1 or v[2] > COUNT_MAX or
	    v[3] > 2 * COUNT_MAX * parts(v[1]) then
		return nil
	end
	local bucket = { n = v[2], level = v[3], spans = {} }
	for i = 4, #v, 3 do
		bucket.spans[#bucket.spans + 1] = { first = v[i],
		    least = v[i + 1], count = v[i + 2] }
	end
	return v[1], bucket
end

-- As they were at the last charge; nil where they cannot be read.
local function read_buckets(key, time)
	local text = counter(key)
	if text == false then
		return { born = time, number = 0, time = time, of = {} }
	end
	local born, number, at, rest = string.match(text or '',
	    '^(%d+) (%d+) (%d+)(.*)$')
	local b = { born = tonumber(born), number = tonumber(number),
	    time = tonumber(at), of = {} }
	if not born or b.time > TIME_MAX then
		return nil
	end
	for word in string.gmatch(rest, '[^ ]+') do
		local period, bucket = read_bucket(word)
		if not period then
			return nil
		end
		b.of[period] = bucket
	end
	return b
end

local function write_buckets(key, b, time)
	local words, left = { string.format('%.0f %.0f %.0f', b.born, b.number,
	    b.time) }, 0
	for period, bucket in pairs(b.of) do
		words[#words + 1] = string.format(' %.0f:%.0f:%.0f', period,
		    bucket.n, bucket.level)
		for _, span in ipairs(bucket.spans) do
			words[#words + 1] = string.format(':%.0f:%.0f:%.0f',
			    span.first, span.least, span.count)
		end
		left = math.max(left, bucket.level / bucket.n)
	end
	if left == 0 then
		redis.call('DEL', key)
		return
	end
	redis.call('SET', key, table.concat(words), 'PX',
	    math.max(1, math.ceil((b.time + left - time) / 1000)))
end

-- A period that was not counted yet begins with what the others count, as if it
-- had come with the last charge, and no more than there may be: whoever gets
-- other rates does not get room by that.  Those that are new, by period.
local function add_buckets(b, l)
	local fresh = {}
	for period, n in pairs(l.least) do
		local level = 0
		for other, bucket in pairs(b.of) do
			level = math.max(level,
			    math.ceil(bucket.level * period / other))
		end
		if not b.of[period] then
			fresh[period] = { n = n, spans = {},
			    level = math.min(level, n * parts(period)) }
		end
	end
	for period, bucket in pairs(fresh) do
		b.of[period] = bucket
	end
	return fresh
end

local function leak(b, time)
	local passed = math.max(0, time - b.time)
	for _, bucket in pairs(b.of) do
		bucket.level = math.max(0, bucket.level - passed * bucket.n)
	end
	b.time = b.time + passed
end

-- What version 3 has counted of a rate, in a key of its own: "TIME LEVEL", in
-- messages.  Nil where it cannot be read.
local function former_level(key, rate, time)
	local text = counter(key)
	local at, amount = string.match(text or '', '^(%d+) ([%d.e+-]+)$')
	at, amount = tonumber(at), tonumber(amount)
	if text == false then
		return 0
	elseif not at or not amount or at > TIME_MAX or amount < 0 or
	    amount > COUNT_MAX + 1 then
		return nil
	end
	return math.max(0, math.ceil(amount * parts(rate.period) -
	    math.max(0, time - at) * rate.n))
end

-- As they are now, or nil and the key that cannot be read.
local function buckets_of(key, l, time)
	local b = read_buckets(key, time)
	if not b then
		return nil, key
	end
	local fresh = add_buckets(b, l)
	leak(b, time)
	for _, rate in ipairs(l.rates) do
		local bucket, former = fresh[rate.period], key .. ':' .. rate.name
		if bucket then
			local level = former_level(former, rate, time)
			if not level then
				return nil, former
			end
			bucket.level = math.max(bucket.level, level)
		end
	end
	return b
end

-- A charge has found this level: no reservation before it can have more back.
local function lower(spans, level)
	local span
	while #spans > 0 and spans[#spans].least >= level do
		local count = span and span.count or 0
		span = table.remove(spans)
		span.count = span.count + count
	end
	if span and level > 0 then
		span.least = level
		spans[#spans + 1] = span
	end
end

local function add_span(spans, number, level)
	spans[#spans + 1] = { first = number, least = level, count = 1 }
	if #spans > SPANS_MAX then
		local first = table.remove(spans, 1)
		spans[1].first, spans[1].least = first.first, first.least
		spans[1].count = spans[1].count + first.count
	end
end

-- Rates that are gone are counted for as long as something is left of them,
-- should they come again; of very many, those that last the longest.
local function forget(b, l)
	local gone = {}
	for period, bucket in pairs(b.of) do
		if not l.least[period] then
			gone[#gone + 1] = { period = period,
			    left = bucket.level / bucket.n }
		end
	end
	table.sort(gone, function(one, other)
		return one.left > other.left
	end)
	for i, row in ipairs(gone) do
		if row.left == 0 or i > RATES_MAX then
			b.of[row.period] = nil
		end
	end
end

-- The number of the charge.
local function charge_buckets(key, l, b, units, time)
	forget(b, l)
	if not next(b.of) then
		return 0
	end
	b.number = b.number + 1
	for period, bucket in pairs(b.of) do
		lower(bucket.spans, bucket.level)
		bucket.level = bucket.level + units * parts(period)
		bucket.n = l.least[period] or bucket.n
		add_span(bucket.spans, b.number, bucket.level)
	end
	write_buckets(key, b, time)
	return b.number
end

-- A reservation is settled: what is there of this amount is given back.
local function settle_bucket(bucket, number, amount)
	local spans, at = bucket.spans, #bucket.spans
	while at > 0 and spans[at].first > number do
		at = at - 1
	end
	if at == 0 then
		return
	end
	local back = math.min(amount, spans[at].least)
	local least = spans[at].least - back
	bucket.level = bucket.level - back
	for i = at, #spans do
		spans[i].least = spans[i].least - back
	end
	spans[at].count = spans[at].count - 1
	while at > 1 and spans[at - 1].least >= least do
		local span = table.remove(spans, at)
		at = at - 1
		spans[at].least = least
		spans[at].count = spans[at].count + span.count
	end
	if spans[at].count == 0 or least == 0 then
		table.remove(spans, at)
	end
end

local function settle(key, born, number, units, time)
	local b = number > 0 and read_buckets(key, time)
	if not b or b.born ~= born then
		return
	end
	for period, bucket in pairs(b.of) do
		settle_bucket(bucket, number, units * parts(period))
	end
	write_buckets(key, b, time)
end

-- Judging

-- A limit without room: which it is, of how much, in which period; the seconds
-- until it has, none where it never can have; the key that cannot be read.
local function full(which, n, period, units, seconds, key)
	return { which, string.format('%.0f', n), period,
	    units > n and '' or string.format('%.0f', math.ceil(seconds)),
	    key or '' }
end

local function rate_period(rate)
	return string.match(rate.text, '/(.*)$')
end

-- Why a rate has no room for so many more.  Numbers beyond 2^53 are not exact.
local function rate_refusal(rate, bucket, units, key)
	if not bucket then
		return full('rate', rate.n, rate_period(rate), units,
		    rate.period, key)
	end
	local room = rate.n * parts(rate.period)
	local over = bucket.level + units * parts(rate.period) - room
	if over > room * 2 ^ -50 then
		return full('rate', rate.n, rate_period(rate), units,
		    math.max(1, over / (bucket.n * 1000000)))
	end
	return nil
end

-- The first limit that has no room, or nil; and the buckets.
local function refusal(keys, l, units, time)
	if l.quota > 0 then
		local start, count = window(keys[2], l.period, time)
		if not start then
			return full('quota', l.quota, l.period_text, units,
			    l.period, keys[2])
		elseif count + units > l.quota then
			return full('quota', l.quota, l.period_text, units,
			    (start + l.period * 1000000 - time) / 1000000)
		end
	end
	local b, bad = buckets_of(keys[3], l, time)
	for _, rate in ipairs(l.rates) do
		local why = rate_refusal(rate, b and b.of[rate.period], units,
		    bad)
		if why then
			return why
		end
	end
	return nil, b
end

local function charge(keys, l, b, units, time)
	local start, number = 0, 0
	if l.quota > 0 then
		local count
		start, count = window(keys[2], l.period, time)
		set_window(keys[2], start, count + units, l.period, time)
	end
	if b then
		number = charge_buckets(keys[3], l, b, units, time)
	end
	redis.call('SET', keys[4], string.format('held %.0f %.0f %.0f %.0f',
	    units, start, b and b.born or 0, number), 'EX', HOLD)
end

-- Calls

-- With the number of these functions: a program that has newer ones learns
-- that they are not there any more.
local function answer(...)
	local words = { ... }
	words[#words + 1] = VERSION
	return words
end

-- check: DEFAULT_PERIOD UNITS -> {"ok"}, {"full", which, limit, period,
-- seconds, key} or {"bad", field}, and behind that the version; seconds empty
-- where the limit is below the units, key where it can be read.  Changes nothing.
local function check(keys, args)
	local l, bad = limits(keys[1], args[1])
	if not l then
		return answer('bad', bad)
	end
	local why = refusal(keys, l, tonumber(args[2]), now())
	if why then
		return answer('full', unpack(why))
	end
	return answer('ok')
end

-- reserve: the same, and charges all limits if all have room.  Asked again
-- with the same key 4, it answers the same and charges nothing; given back
-- already, {"void"}.
local function reserve(keys, args)
	local hold = redis.call('GET', keys[4])
	if hold then
		-- WAIT counts from the last write of its own connection.
		redis.call('SET', keys[4], hold, 'KEEPTTL')
		return answer((hold == 'kept' or
		    string.find(hold, '^held ')) and 'ok' or 'void')
	end
	local l, bad = limits(keys[1], args[1])
	if not l then
		return answer('bad', bad)
	end
	local units, time = tonumber(args[2]), now()
	local why, b = refusal(keys, l, units, time)
	if why then
		return answer('full', unpack(why))
	end
	charge(keys, l, b, units, time)
	return answer('ok')
end

-- A reservation that can be given back: its units, its window, its counter of
-- rates and its number there.  Of what version 3 has reserved the rates are not
-- given back.
local function held(text)
	local units, start, born, number = string.match(text or '',
	    '^held (%d+) (%d+) (%d+) (%d+)$')
	if not units then
		units, start = string.match(text or '', '^held (%d+) (%d+) ')
		born, number = 0, 0
	end
	return tonumber(units), tonumber(start), tonumber(born),
	    tonumber(number)
end

-- keep: what is reserved stays charged.  That it was is remembered a while, for
-- a reservation that had been sent twice.
local function keep(keys)
	local units, _, born, number = held(redis.call('GET', keys[4]))
	if units then
		settle(keys[3], born, number, 0, now())
	end
	redis.call('SET', keys[4], 'kept', 'EX', KEPT)
	return { 'ok' }
end

local function give_back_window(keys, units, start, period, time)
	local current, count = window(keys[2], period, time)
	if current == start and count > 0 then
		set_window(keys[2], start, math.max(0, count - units), period,
		    time)
	end
end

-- refund: DEFAULT_PERIOD.  Gives a reservation back, in the window and in the
-- counter that it came from.  Whatever comes for it later is void, be it a refund
-- again or the reservation itself, which may have been under way on a connection
-- lost.
local function refund(keys, args)
	local hold = redis.call('GET', keys[4])
	local units, start, born, number = held(hold)
	local time = now()

	if hold == 'kept' then
		return { 'ok' }
	end
	redis.call('SET', keys[4], 'void', 'EX', HOLD)
	if not units then
		return { 'ok' }
	end
	local l = limits(keys[1], args[1])
	if l then
		give_back_window(keys, units, start, l.period, time)
	end
	settle(keys[3], born, number, units, time)
	return { 'ok' }
end

local function quota_usage(key, l, time)
	local start, count = window(key, l.period, time)
	local row = { 'quota', string.format('%.0f', l.quota), l.period_text }
	if not start then
		row[4], row[5], row[6] = row[2], string.format('%.0f', l.period),
		    key
		return row
	end
	row[4] = string.format('%.0f', count)
	row[5] = string.format('%.0f', count == 0 and 0 or math.ceil(
	    (start + l.period * 1000000 - time) / 1000000))
	return row
end

local function rate_usage(rate, bucket, key)
	local row = { 'rate', string.format('%.0f', rate.n), rate_period(rate) }
	if not bucket then
		row[4], row[5], row[6] = row[2],
		    string.format('%.0f', rate.period), key
		return row
	end
	row[4] = string.format('%.0f', math.ceil(bucket.level /
	    parts(rate.period)))
	row[5] = string.format('%.0f', math.ceil(bucket.level /
	    (bucket.n * 1000000)))
	return row
end

-- usage: DEFAULT_PERIOD -> {"ok", {which, limit, period, used, seconds}...}, and
-- in a row the key that cannot be read.
function usage(keys, args)
	local l, bad = limits(keys[1], args[1])
	local time = now()
	local out = { 'ok' }
	if not l then
		return { 'bad', bad }
	end
	if l.quota > 0 then
		out[2] = quota_usage(keys[2], l, time)
	end
	local b, unread = buckets_of(keys[3], l, time)
	for _, rate in ipairs(l.rates) do
		out[#out + 1] = rate_usage(rate, b and b.of[rate.period], unread)
	end
	return out
end

api.check, api.reserve, api.keep = check, reserve, keep
api.refund, api.usage = refund, usage

end

