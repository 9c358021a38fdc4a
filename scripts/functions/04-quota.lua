-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Quotas and rates, judged and charged in one step.
--
-- Keys of every function, all in the slot of the user, or of the account:
--   1  user:{NAME}               the record, for quota, quota_period, rate,
--                                sender_quota and sender_rate
--   2  user:{NAME}:used:quota    "START COUNT": when the window began, in
--                                microseconds, and what was charged in it
--   3  user:{NAME}:used:rate     "BORN NUMBER TIME" and buckets, see there
--   4  user:{NAME}:used:hold:ID  a reservation: "held UNITS START BORN NUMBER
--                                by:VERSION" while it can be given back, with
--                                the window and the place among the charges of 3
--                                that it has, 0 for none, and which functions
--                                have judged it; behind it, of each sender
--                                domain, "DOMAIN START BORN NUMBER"; "kept" once
--                                it cannot, "void" once it is; "told" of one that
--                                was refused.  In another line, as JSON, what is
--                                to be told, should the answer have been lost
-- Besides, once a quota is nearly used up:
--      user:{NAME}:used:quota:told  "LIMIT LEVEL": what was told of it
-- and where there are limits for each sender domain:
--      user:{NAME}:used:senders  a hash: of each domain the fields
--                                DOMAIN/quota and DOMAIN/rate, as 2 and 3 are
--      user:{NAME}:used:senders:until
--                                a sorted set of the domains, each with the
--                                milliseconds since 1970 until which something
--                                is left of what it has used: what is not in it
--                                is not counted
--
-- What is used is counted by periods and in messages, whatever the limits are:
-- a new limit finds what the former one has counted.  A counter that is there and
-- cannot be read is a limit that is used up, never an empty one.

local window, usage	-- for the views
local charges = {}	-- what calls beside those of messages have in common

-- What a part of its own adds to check and reserve, behind the limits:
--   tags     a set of the tags that it takes
--   refusal  of a call: the words of the answer where the message must not
--            pass; nil where it may.  It may write in a reservation alone.
--   charge   of a call, once all that is judged has room; what it returns is
--            put behind the reservation
--   refund   of the keys and of what stands in a reservation that is given back
-- A call is a table: keys; tagged, the values by tag; units; time, now in
-- microseconds; reserves, false in check; events, to which any part appends
-- what should be told of it, each a list { KIND, NAME, VALUE, ... } of strings.
local alarms = { tags = {} }

do

local HOLD = 3600	-- seconds that a reservation can be given back for
local KEPT = 300	-- and that a retry of one may come late by
local WINDOW = 35 * 86400	-- seconds that a window may be extended for
local TIME_MAX = 2 ^ 53	-- microseconds, exact in a number of Lua
local SPANS_MAX = 256
local SENDERS_MAX = 5000	-- domains of a user that are counted at once
local SWEPT = 16		-- that go with a charge, when they are over
local NEAR = 0.9		-- of a quota, from where on it is told
local TOLD = 3600		-- seconds in which that is told once at most

-- A quota and rates, or nil and what is wrong with them.
local function limits_of(quota, rate, period, text)
	local n = quota == '' and 0 or parse_count(quota or '0')
	local rates = parse_rates(rate or '')
	local least = {}
	if not n then
		return nil, 'quota'
	elseif not rates or #rates > RATES_MAX then
		return nil, 'rate'
	end
	for _, one in ipairs(rates) do
		least[one.period] = math.min(one.n,
		    least[one.period] or one.n)
	end
	return { quota = n, period = period, period_text = text,
	    rates = rates, least = least }
end

-- The limits of a record, with those of each sender domain in sender, where
-- there are any; or nil and the field that is wrong.
local function limits(key, default_period)
	local v = redis.call('HMGET', key, 'quota', 'quota_period', 'rate',
	    'sender_quota', 'sender_rate', 'account')
	local text = (v[2] or '') ~= '' and v[2] or period_text(default_period)
	local period = parse_period(text)
	if not period then
		return nil, 'quota_period'
	end
	local l, bad = limits_of(v[1], v[3], period, text)
	if l then
		l.account = v[6] or ''
	end
	if not l or not (v[4] or v[5]) then
		return l, bad
	end
	l.sender, bad = limits_of(v[4], v[5], period, text)
	if bad then
		return nil, 'sender_' .. bad
	elseif l.sender.quota == 0 and #l.sender.rates == 0 then
		l.sender = nil
	end
	return l
end

-- What is counted together, by which limits: all of a record's, or, of a user,
-- what is sent as one domain.  The window of the former lasts longer than its
-- period, should that be made longer.
local function scope_of(keys, l)
	return { l = l, window = keys[2], buckets = keys[3], kind = '',
	    domain = '', lasts = WINDOW }
end

local function sender_scope(keys, l, domain)
	local key = keys[1] .. ':used:senders'
	return { l = l, window = { key = key, field = domain .. '/quota' },
	    buckets = { key = key, field = domain .. '/rate' },
	    kind = 'sender_', domain = domain, lasts = 0 }
end

-- Counters: each is a key, or a field of a hash.

local function key_of(counter)
	return type(counter) == 'string' and counter or counter.key
end

-- What one holds: false for nothing, nil where it is no text.
local function read(counter)
	local text
	if type(counter) == 'string' then
		text = redis.pcall('GET', counter)
	else
		text = redis.pcall('HGET', counter.key, counter.field)
	end
	if type(text) ~= 'table' then
		return not counter.over and text
	elseif string.find(text.err, 'WRONGTYPE', 1, true) then
		return nil
	end
	error({ err = text.err }, 0)
end

-- It is forgotten after so many microseconds, by its key or by whoever has a
-- field.  Without a text, at once.
local function write(counter, text, left)
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

-- Windows

-- The window that is open by the present period: when it began, what was
-- charged in it.  When there is none, it would begin now.  One that begins later
-- than now is open: the clock went back, as it may when a replica takes over.
-- Where it was further ahead than a period, nobody waits for that time: it begins
-- now.  Nil where it cannot be read.
function window(counter, period, time)
	local text = read(counter)
	local start, count = string.match(text or '', '^(%d+) (%d+)$')
	start, count = tonumber(start), tonumber(count)
	if text == false then
		return time, 0
	elseif not start or start > TIME_MAX or count > 2 * COUNT_MAX then
		return nil
	elseif time >= start + period * 1000000 then
		return time, 0
	elseif start > time + period * 1000000 then
		return time, count
	end
	return start, count
end

-- Nothing in it: the next message begins another.
local function set_window(scope, start, count, period, time)
	write(scope.window, count > 0 and string.format('%.0f %.0f', start,
	    count), start + math.max(period, scope.lasts) * 1000000 - time)
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
local function read_buckets(counter, time)
	local text = read(counter)
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

local function write_buckets(counter, b, time)
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
	b.ending = b.time + left
	write(counter, left > 0 and table.concat(words), b.ending - time)
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

-- Nor does anybody wait for a time that the clock has told by mistake.
local function leak(b, time)
	local passed, longest = math.max(0, time - b.time), 0
	for period in pairs(b.of) do
		longest = math.max(longest, period * 1000000)
	end
	if b.time > time + longest then
		b.time = time
	end
	for _, bucket in pairs(b.of) do
		bucket.level = math.max(0, bucket.level - passed * bucket.n)
	end
	b.time = b.time + passed
end

-- What version 3 has counted of a rate, in a key of its own: "TIME LEVEL", in
-- messages.  Nil where it cannot be read.
local function former_level(key, rate, time)
	local text = read(key)
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
local function buckets_of(counter, l, time)
	local b = read_buckets(counter, time)
	if not b then
		return nil, key_of(counter)
	end
	local fresh = add_buckets(b, l)
	leak(b, time)
	for _, rate in ipairs(l.rates) do
		local bucket, former = fresh[rate.period], nil
		if bucket and type(counter) == 'string' then
			former = counter .. ':' .. rate.name
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
local function charge_buckets(counter, l, b, units, time)
	forget(b, l)
	if not next(b.of) then
		if b.number > 0 then
			write(counter, nil)
		end
		return 0
	end
	b.number = b.number + 1
	for period, bucket in pairs(b.of) do
		lower(bucket.spans, bucket.level)
		bucket.level = bucket.level + units * parts(period)
		bucket.n = l.least[period] or bucket.n
		add_span(bucket.spans, b.number, bucket.level)
	end
	write_buckets(counter, b, time)
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

local function settle(counter, born, number, units, time)
	local b = number > 0 and read_buckets(counter, time)
	if not b or b.born ~= born then
		return
	end
	for period, bucket in pairs(b.of) do
		settle_bucket(bucket, number, units * parts(period))
	end
	write_buckets(counter, b, time)
end

-- Judging

-- A limit without room: which it is, of how much, in which period; the seconds
-- until it has, none where it never can have; the key that cannot be read; the
-- sender domain that it is of.
local function full(scope, which, n, period, units, seconds, key)
	return { 'full', scope.kind .. which, string.format('%.0f', n), period,
	    units > n and '' or string.format('%.0f', math.ceil(seconds)),
	    key or '', scope.domain ~= '' and scope.domain or nil }
end

local function rate_period(rate)
	return string.match(rate.text, '/(.*)$')
end

-- Why a rate has no room for so many more.  Numbers beyond 2^53 are not exact.
local function rate_refusal(scope, rate, bucket, units, key)
	if not bucket then
		return full(scope, 'rate', rate.n, rate_period(rate), units,
		    rate.period, key)
	end
	local room = rate.n * parts(rate.period)
	local over = bucket.level + units * parts(rate.period) - room
	if over > room * 2 ^ -50 then
		return full(scope, 'rate', rate.n, rate_period(rate), units,
		    math.max(1, over / (bucket.n * 1000000)))
	end
	return nil
end

-- The first limit that has no room, or nil.  What was read is in the scope then.
local function refusal(scope, units, time)
	local l, bad = scope.l, nil
	if l.quota > 0 then
		scope.start, scope.count = window(scope.window, l.period, time)
		if not scope.start then
			return full(scope, 'quota', l.quota, l.period_text,
			    units, l.period, key_of(scope.window))
		elseif scope.count + units > l.quota then
			return full(scope, 'quota', l.quota, l.period_text,
			    units, (scope.start + l.period * 1000000 - time) /
			    1000000)
		end
	end
	scope.b, bad = buckets_of(scope.buckets, l, time)
	for _, rate in ipairs(l.rates) do
		local why = rate_refusal(scope, rate, scope.b and
		    scope.b.of[rate.period], units, bad)
		if why then
			return why
		end
	end
	return nil
end

-- What is told of a quota: that it is nearly used up, and that it is; each once
-- in a window, and once an hour at most, whatever is given back: no client is to
-- fill the stream of events.  Of another limit it is told anew.
local function tell(call, scope, level, count)
	local l, key = scope.l, scope.window .. ':told'
	local n = string.format('%.0f', l.quota)
	local told = redis.pcall('GET', key)
	if told == n .. ' ' .. level or told == n .. ' reached' or
	    type(told) == 'table' then
		return
	end
	local left = scope.start / 1000000 + l.period - call.time / 1000000
	redis.call('SET', key, n .. ' ' .. level, 'EX',
	    string.format('%.0f', math.max(TOLD, math.ceil(left))))
	call.events[#call.events + 1] = { 'limit.' .. level,
	    'account', try(canonical.account, l.account) or '', 'limit', n,
	    'period', l.period_text, 'used', string.format('%.0f', count) }
end

-- Behind a charge: whether it went past one of the marks.
local function tell_charged(call, scope)
	local quota, before = scope.l.quota, scope.count
	local after = quota > 0 and before + call.units or 0
	if quota > 0 and after >= quota then
		tell(call, scope, 'reached', after)
	elseif quota > 0 and after >= NEAR * quota and before < NEAR * quota then
		tell(call, scope, 'near', after)
	end
end

-- Of a refusal that is the quota's, and only for now.
local function tell_refused(call, scope, why)
	if why[1] == 'full' and why[2] == 'quota' and why[5] ~= '' and
	    why[6] == '' then
		tell(call, scope, 'reached', scope.count)
	end
end

-- Where it is in its window and among the charges of its rates.
local function charge(scope, units, time)
	local number, l = 0, scope.l
	if l.quota > 0 then
		set_window(scope, scope.start, scope.count + units, l.period,
		    time)
	end
	if scope.b then
		number = charge_buckets(scope.buckets, l, scope.b, units, time)
	end
	return string.format('%.0f %.0f %.0f', scope.start or 0,
	    scope.b and scope.b.born or 0, number)
end

-- Sender domains

-- A time as the set of domains has it.  One that is less than now is over.
local function milliseconds(time)
	return string.format('%.0f', math.ceil(time / 1000))
end

-- Until when the counters of a domain are, in milliseconds; nil for no domain
-- that is counted.  What is over is as if it were not there.
local function counted_until(key, scope, time)
	local score = redis.pcall('ZSCORE', key, scope.domain)
	if type(score) == 'table' then
		return string.find(score.err, 'WRONGTYPE', 1, true) and
		    math.huge or error({ err = score.err }, 0)
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
	return full(scope, 'count', SENDERS_MAX, scope.l.period_text, 1,
	    math.max(1, (tonumber(first[2]) - time / 1000) / 1000))
end

local function sender_refusal(call, scope)
	local key, time = scope.window.key .. ':until', call.time
	local score = counted_until(key, scope, time)
	if score == math.huge then
		return full(scope, 'count', SENDERS_MAX, scope.l.period_text, 1,
		    scope.l.period, key)
	end
	return refusal(scope, call.units, time) or not score and
	    count_refusal(scope, key, call.keys, time) or nil
end

-- The scopes of the domains of a call, or why one of them has no room.
local function senders_refusal(call, l)
	local scopes = {}
	for i, domain in ipairs(l.sender and call.tagged.senders or {}) do
		scopes[i] = sender_scope(call.keys, l.sender, domain)
		local why = sender_refusal(call, scopes[i])
		if why then
			return why
		end
	end
	return nil, scopes
end

local function forget_sender(key, domain)
	redis.call('HDEL', key, domain .. '/quota', domain .. '/rate')
	redis.call('ZREM', key .. ':until', domain)
end

-- Some of those that are over go: more than come.
local function sweep(key, time)
	for _, domain in ipairs(redis.call('ZRANGEBYSCORE', key .. ':until',
	    '-inf', '(' .. milliseconds(time), 'LIMIT', '0',
	    tostring(SWEPT))) do
		forget_sender(key, domain)
	end
end

-- The words of the reservation about a domain.  All are kept until the last of
-- them is over, whatever limits there are by now.
local function charge_sender(call, scope)
	local key, l, time = scope.window.key, scope.l, call.time
	if scope.window.over then
		forget_sender(key, scope.domain)
	end
	local place = charge(scope, call.units, time)
	local ending = math.max(scope.b and scope.b.ending or 0,
	    l.quota > 0 and scope.start + l.period * 1000000 or 0)
	redis.call('ZADD', key .. ':until', milliseconds(ending), scope.domain)
	sweep(key, time)
	local left = string.format('%.0f',
	    math.max(0, math.ceil((ending - time) / 1000000)) + 1)
	for _, one in ipairs({ key, key .. ':until' }) do
		redis.call('EXPIRE', one, left, 'NX')
		redis.call('EXPIRE', one, left, 'GT')
	end
	return ' ' .. scope.domain .. ' ' .. place
end

-- Calls

-- With what is to be told, and the number of these functions: a program that has
-- newer ones learns that they are not there any more, and that nobody has judged
-- what these know nothing of.
local function answer(words, events)
	for _, event in ipairs(events or {}) do
		words[#words + 1] = event
	end
	words[#words + 1] = VERSION
	return words
end

-- What stands in key 4, and what was told with it.
local function read_hold(key)
	local head, told = string.match(redis.call('GET', key) or '',
	    '^([^\n]*)\n?(.*)$')
	return head, told ~= '' and cjson.decode(told) or {}
end

local function write_hold(key, head, events, ...)
	if #events > 0 then
		head = head .. '\n' .. cjson.encode(events)
	end
	redis.call('SET', key, head, ...)
end

local BY = ' by:' .. VERSION

-- The number of the functions that have judged it.
local function made_by(head)
	return tonumber(string.match(head, ' by:(%d+)')) or 0
end

-- The values by tag, of TAG COUNT VALUE... from an argument on.
local function tagged_of(args, at)
	local tagged = {}
	while at <= #args do
		local tag, values = args[at], {}
		local n = parse_digits(args[at + 1] or '', 5)
		if tag ~= 'senders' and not alarms.tags[tag] or tagged[tag] then
			invalid(tag, 'not a tag, or one given twice')
		elseif not n or at + 1 + n > #args then
			invalid(tag, 'not as many values as it says')
		end
		for i = 1, n do
			values[i] = args[at + 1 + i]
			if tag == 'senders' and
			    not string.find(values[i], '^[a-z0-9._-]+$') then
				invalid(values[i], 'not a domain')
			end
		end
		tagged[tag], at = values, at + 2 + n
	end
	return tagged
end

-- Judges a call: the words to refuse it with, or nil, its scope and those of
-- its sender domains.
local function judge(call, default_period)
	local l, bad = limits(call.keys[1], default_period)
	if not l then
		return { 'bad', bad }
	end
	local scope = scope_of(call.keys, l)
	local why, senders = refusal(scope, call.units, call.time), nil
	if not why then
		why, senders = senders_refusal(call, l)
	end
	if not why and alarms.refusal then
		why = alarms.refusal(call)
	end
	return why, scope, senders
end

local function call_of(keys, args, reserves)
	return { keys = keys, tagged = tagged_of(args, 3),
	    units = tonumber(args[2]), time = now(), reserves = reserves,
	    events = {} }
end

-- check: DEFAULT_PERIOD UNITS and, for each tag, TAG COUNT VALUE... -> {"ok"},
-- {"full", which, limit, period, seconds, key, domain} or {"bad", field}, behind
-- that what is to be told and the version; seconds empty where the limit is below
-- the units, key where it can be read, domain where the limit is not one for each
-- of the sender domains, the values of the tag senders.  Changes nothing.
local function check(keys, args)
	local call = call_of(keys, args, false)
	return answer(judge(call, args[1]) or { 'ok' }, call.events)
end

-- A reservation that can be given back: its units, and where they are counted:
-- in which scope, which window, which counter of rates and at which number there.
-- Nil for none.  Of what version 3 has reserved the rates are not given back; what
-- version 4 has does not say by:VERSION.
local function held(head, keys)
	local units, start, rest = string.match(head,
	    '^held (%d+) (%d+) ?(.*)$')
	local born, number, senders = string.match(rest or '',
	    '^(%d+) (%d+)(.*)$')
	senders = string.gsub(senders or '', '^ by:%d+', '')
	if not units then
		return nil
	end
	local places = { { scope = scope_of(keys), start = tonumber(start),
	    born = tonumber(born) or 0, number = tonumber(number) or 0 } }
	for domain, from, of, at in string.gmatch(senders,
	    ' ([^ ]+) (%d+) (%d+) (%d+)') do
		places[#places + 1] = { scope = sender_scope(keys, nil, domain),
		    start = tonumber(from), born = tonumber(of),
		    number = tonumber(at) }
	end
	return tonumber(units), places
end

local function give_back(at, units, period, time)
	local start, count
	if period then
		start, count = window(at.scope.window, period, time)
	end
	if start and start == at.start and count > 0 then
		set_window(at.scope, start, math.max(0, count - units), period,
		    time)
	end
	settle(at.scope.buckets, at.born, at.number, units, time)
end

-- In the windows and in the counters that it came from.
local function give_all_back(keys, head, default_period)
	local units, places = held(head, keys)
	local l = units and limits(keys[1], default_period)
	if alarms.refund and units then
		alarms.refund(keys, head)
	end
	for _, at in ipairs(places or {}) do
		give_back(at, units, l and l.period, now())
		local of = at.scope
		if of.domain ~= '' and read(of.window) == false and
		    read(of.buckets) == false then
			forget_sender(of.window.key, of.domain)
		end
	end
end

-- reserve: the same, and charges all limits if all have room.  Asked again
-- with the same key 4, it answers the same, tells the same, and charges nothing;
-- given back already, {"void"}.  What older functions have reserved is judged
-- anew: they may know of fewer limits.
local function reserve(keys, args)
	local call = call_of(keys, args, true)
	local head, told = read_hold(keys[4])
	if head == 'void' then
		return answer({ 'void' })
	elseif head == 'kept' or made_by(head) >= VERSION then
		-- WAIT counts from the last write of its own connection.
		write_hold(keys[4], head, told, 'KEEPTTL')
		return answer({ 'ok' }, told)
	end
	give_all_back(keys, head, args[1])
	call.events = told
	local why, scope, senders = judge(call, args[1])
	if why then
		tell_refused(call, scope, why)
		if #call.events > 0 or head ~= '' then
			write_hold(keys[4], 'told', call.events, 'EX', KEPT)
		end
		return answer(why, call.events)
	end
	tell_charged(call, scope)
	local places = { string.format('held %.0f ', call.units) ..
	    charge(scope, call.units, call.time) .. BY }
	for i, sender in ipairs(senders) do
		places[i + 1] = charge_sender(call, sender)
	end
	places[#places + 1] = alarms.charge and alarms.charge(call)
	write_hold(keys[4], table.concat(places), call.events, 'EX', HOLD)
	return answer({ 'ok' }, call.events)
end

-- keep: what is reserved stays charged.  That it was is remembered a while, for
-- a reservation that had been sent twice.
local function keep(keys)
	local _, places = held(read_hold(keys[4]), keys)
	for _, at in ipairs(places or {}) do
		settle(at.scope.buckets, at.born, at.number, 0, now())
	end
	redis.call('SET', keys[4], 'kept', 'EX', KEPT)
	return answer({ 'ok' })
end

-- refund: DEFAULT_PERIOD and, where nobody has heard what it was answered,
-- unheard.  Gives a reservation back, and tells what is to be told of it to whom
-- has not heard.  Whatever comes for it later is void, be it a refund again or the
-- reservation itself, which may have been under way on a connection lost.
local function refund(keys, args)
	local head, told = read_hold(keys[4])
	if head == 'kept' then
		return answer({ 'ok' })
	end
	give_all_back(keys, head, args[1])
	if args[2] ~= 'unheard' then
		told = {}
	end
	write_hold(keys[4], 'void', told, 'EX', HOLD)
	return answer({ 'ok' }, told)
end

local function quota_usage(scope, time)
	local l = scope.l
	local start, count = window(scope.window, l.period, time)
	local row = { scope.kind .. 'quota', string.format('%.0f', l.quota), l.period_text }
	if not start then
		row[4], row[5], row[6] = row[2], string.format('%.0f', l.period),
		    key_of(scope.window)
		return row
	end
	row[4] = string.format('%.0f', count)
	row[5] = string.format('%.0f', count == 0 and 0 or math.ceil(
	    (start + l.period * 1000000 - time) / 1000000))
	return row
end

local function rate_usage(scope, rate, bucket, key)
	local row = { scope.kind .. 'rate', string.format('%.0f', rate.n), rate_period(rate) }
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

-- Adds a row for each limit.
local function add_usage(rows, scope, time)
	local l = scope.l
	if l.quota > 0 then
		rows[#rows + 1] = quota_usage(scope, time)
	end
	local b, unread = buckets_of(scope.buckets, l, time)
	for _, rate in ipairs(l.rates) do
		rows[#rows + 1] = rate_usage(scope, rate,
		    b and b.of[rate.period], unread)
	end
end

-- usage: DEFAULT_PERIOD -> {"ok", {which, limit, period, used, seconds}...}, and
-- in a row the key that cannot be read.
function usage(keys, args)
	local l, bad = limits(keys[1], args[1])
	local out = { 'ok' }
	if not l then
		return { 'bad', bad }
	end
	add_usage(out, scope_of(keys, l), now())
	return out
end

-- sender_usage: DEFAULT_PERIOD FROM -> {"ok", NEXT, {domain, row...}...}: the same
-- of sender domains, a page of those that are counted; all of them once NEXT
-- is 0.
local function sender_usage(keys, args)
	local l, bad = limits(keys[1], args[1])
	local key, time = keys[1] .. ':used:senders:until', now()
	local from = parse_digits(args[2] or '', 10)
	if not l then
		return { 'bad', bad }
	elseif not from then
		invalid(args[2] or '', 'not where a page begins')
	end
	local names = l.sender and redis.call('ZRANGEBYSCORE', key,
	    milliseconds(time), '+inf', 'LIMIT',
	    tostring(from), tostring(LIMITS.page)) or {}
	local out = { 'ok', tostring(#names < LIMITS.page and 0 or
	    from + #names) }
	for _, domain in ipairs(names) do
		local rows = { domain }
		add_usage(rows, sender_scope(keys, l.sender, domain), time)
		out[#out + 1] = rows
	end
	return out
end

api.check, api.reserve, api.keep = check, reserve, keep
api.refund, api.usage, api.sender_usage = refund, usage, sender_usage
charges.answer, charges.read_hold = answer, read_hold
charges.write_hold, charges.made_by = write_hold, made_by

end

