-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Buckets: what is charged by rates, in one counter "BORN NUMBER TIME" and a
-- bucket for each period.
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

--
-- All that a counter holds is a table here: born, number, time, and of, the buckets
-- by their periods, each with n, level and spans.

local buckets = {}

do

local read, write, TIME_MAX = counters.read, counters.write, counters.TIME_MAX
local SPANS_MAX = 256
local BUCKETS_MAX = 2 * RATES_MAX	-- of those that are gone, too
local NUMBER = 32			-- bytes of one and what is before it
local WORD_MAX = 3 * NUMBER * (SPANS_MAX + 1)
local FORMER_MAX = 64			-- bytes of what version 3 has counted

-- The parts of a message.
local function parts(period)
	return period * 1000000
end

local function read_bucket(word)
	local v = {}
	if #word > WORD_MAX then
		return nil
	end
	for digits in string.gmatch(word, '%d+') do
		v[#v + 1] = tonumber(digits)
	end
	if string.find(word, '[^%d:]') or #v < 3 or #v % 3 ~= 0 or
	    #v > 3 * (SPANS_MAX + 1) or v[1] < 1 or
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
	local text = read(counter, BUCKETS_MAX * WORD_MAX)
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
	local count = 0
	for word in string.gmatch(rest, '[^ ]+') do
		local period, bucket = read_bucket(word)
		count = count + 1
		if not period or b.of[period] or count > BUCKETS_MAX then
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
		longest = math.max(longest, parts(period))
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
	local text = read(key, FORMER_MAX)
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
function buckets.read(counter, l, time)
	local b = read_buckets(counter, time)
	if not b then
		return nil, counters.key(counter)
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
local function drop_gone(b, l)
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
function buckets.charge(counter, l, b, units, time)
	drop_gone(b, l)
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

-- What came with a charge is settled: so many units of it, perhaps none, are given
-- back, unless this is another counter by now.
function buckets.settle(counter, born, number, units, time)
	local b = number > 0 and read_buckets(counter, time)
	if not b or b.born ~= born then
		return
	end
	for period, bucket in pairs(b.of) do
		settle_bucket(bucket, number, units * parts(period))
	end
	write_buckets(counter, b, time)
end

-- The seconds until so many more have room in a rate, nil where they have.
-- Numbers beyond 2^53 are not exact.
function buckets.wait(bucket, rate, units)
	local room = rate.n * parts(rate.period)
	local over = bucket.level + units * parts(rate.period) - room
	return over > room * 2 ^ -50 and over / (bucket.n * 1000000) or nil
end

-- The messages that are in one, and the seconds until it is empty.
function buckets.used(bucket, period)
	return math.ceil(bucket.level / parts(period)),
	    math.ceil(bucket.level / (bucket.n * 1000000))
end

end
