-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Recipients that get no mail, of a user or of an account: a sorted set of
-- addresses and domains, the score of each until when, in seconds since 1970.
-- Without an end it is +inf; 0 or less, which somebody may have written by hand,
-- means the same.  Such lists grow long, so nothing here reads one whole.

local suppressed = {}		-- what other parts use

do

local MOST = 1000000		-- entries of a list
local PAIRS = 499		-- of a command: scores and members
local LAST = 253402300799	-- seconds at the end of the year 9999

-- A recipient, and the time behind "=" if there is one: no domain has that.
local function parts_of(text)
	local word, time = string.match(text, '^(.*)=([^@=]*)$')
	if string.sub(text, 1, 2) == '*@' then
		invalid(text, 'there are no wildcards: a domain means all ' ..
		    'its addresses')
	end
	return canonical.sender(word or text), time
end

function canonical.suppressed(text)
	local member, time = parts_of(text)
	return member .. (time and '=' .. canonical.time(time) or '')
end

-- Until when, as a number, as Redis replies it.
local function until_of(score)
	local number = score and tonumber(score)
	return number and (number <= 0 and math.huge or number)
end

local function seconds_now()
	return math.floor(now() / 1000000)
end

local function list_of(kind, key, name)
	need(kind, key, name)
	local list = key .. ':suppressed'
	local found = type_of(list)
	if found ~= 'zset' and found ~= 'none' then
		wrong_type(list, 'sorted set')
	end
	return list
end

-- What has ended goes, a part of it at a time.
local function add_tidying(steps, list)
	local gone = redis.call('ZRANGE', list, '(0',
	    string.format('%.0f', seconds_now()), 'BYSCORE', 'LIMIT', '0',
	    tostring(left.tidied))
	left.tidied = left.tidied - #gone
	add_step(steps, 'ZREM', list, gone)
	return #gone
end

-- Members in their order, and until when each is wanted: the later of two.
local function wanted_of(words, default)
	local members, ends = {}, {}
	for _, word in ipairs(words) do
		local member, time = parts_of(word)
		local last = time and seconds_of(time) or default
		if not ends[member] then
			members[#members + 1] = member
		end
		ends[member] = math.max(ends[member] or 0, last)
	end
	return members, ends
end

-- What is held until when, in the order of the members; false for none.
local function held_of(list, members)
	local held = {}
	for first = 1, #members, CHUNK do
		append(held, redis.call('ZMSCORE', list, unpack(members, first,
		    math.min(first + CHUNK - 1, #members))))
	end
	return held
end

-- The steps that write what is not there for as long, how many these are, and
-- how many are not there at all.  What has ended before it began is nothing.
local function add_members(steps, list, members, ends)
	local words, count, fresh, at = {}, 0, 0, seconds_now()
	for i, score in ipairs(held_of(list, members)) do
		local last = ends[members[i]]
		if math.max(until_of(score) or 0, at) < last then
			words[#words + 1] = last == math.huge and '+inf' or
			    string.format('%.0f', last)
			words[#words + 1] = members[i]
			count = count + 1
			fresh = fresh + (score and 0 or 1)
		end
		if #words == 2 * PAIRS then
			add_step(steps, 'ZADD', list, words)
			words = {}
		end
	end
	add_step(steps, 'ZADD', list, words)
	return count, fresh
end

-- What is suppressed for longer already stays so.
local function suppress(kind, key, name, words, default)
	local list, steps = list_of(kind, key, name), {}
	need_words(words, 'recipient')
	local members, ends = wanted_of(words, default)
	add_tidying(steps, list)
	local count, fresh = add_members(steps, list, members, ends)
	if redis.call('ZCARD', list) + fresh > MOST then
		fail('INVALID', name .. ': a list has at most ' .. MOST ..
		    ' recipients')
	end
	take(steps)
	return count
end

-- PERIOD RECIPIENT[=TIME]...
local function suppress_add(kind, keys, args)
	local key, name = record_of(keys, kind)
	local period = table.remove(args, 1) or ''
	local default = period == '' and math.huge or
	    seconds_now() + parse_period(canonical.period(period))
	return suppress(kind, key, name, args, default)
end

-- Also what is no recipient, by its exact text; without any, what has ended.
local function suppress_rm(kind, keys, args)
	local list = list_of(kind, record_of(keys, kind))
	local steps, same = {}, {}
	need_sizes(args)
	for _, text in ipairs(args) do
		same[#same + 1] = text
		same[#same + 1] = try(canonical.sender, text)
	end
	same = members_of(same, tostring)
	local tidied, removed = add_tidying(steps, list), 0
	for _, score in ipairs(held_of(list, same)) do
		removed = removed + (score and 1 or 0)
	end
	for first = 1, removed > 0 and #same or 0, CHUNK do
		add_step(steps, 'ZREM', list, { unpack(same, first,
		    math.min(first + CHUNK - 1, #same)) })
	end
	take(steps)
	return #args == 0 and tidied or removed
end

-- CURSOR -> {cursor, recipient, time or ""...}, without what has ended and what
-- matches nothing.
local function suppress_list(kind, keys, args)
	local list = list_of(kind, record_of(keys, kind))
	local found = redis.call('ZSCAN', list, args[1] or '0', 'COUNT',
	    tostring(LIMITS.listed))
	local out, at = { found[1] }, seconds_now()
	for i = 1, #found[2], 2 do
		local member = found[2][i]
		local last = until_of(found[2][i + 1])
		if last > at and try(canonical.sender, member) == member then
			out[#out + 1] = member
			out[#out + 1] = last <= LAST and
			    time_text(math.floor(last) * 1000000) or ''
		end
	end
	return out
end

local KINDS = { USER, ACCOUNT }
for i = 1, #KINDS do
	local kind = KINDS[i]
	api[kind.word .. '_suppress_add'] = function(keys, args)
		return suppress_add(kind, keys, args)
	end
	api[kind.word .. '_suppress_rm'] = function(keys, args)
		return suppress_rm(kind, keys, args)
	end
	api[kind.word .. '_suppressed'] = function(keys, args)
		return suppress_list(kind, keys, args)
	end
end

-- A line of an import, which adds to what is there.
function suppressed.put(kind, key, name, words, first, last)
	if last - first ~= 1 or words[first] ~= 'suppressed' then
		fail('INVALID', 'the call takes the word suppressed and ' ..
		    'recipients')
	end
	return suppress(kind, key, name, split(words[last], 'suppressed'),
	    math.huge) > 0 and 'changed' or 'same'
end

-- How many there are; nil where the caller may not know, and where it is no
-- list, which is a problem.
function suppressed.count(problems, key)
	local count = redis.pcall('ZCARD', key .. ':suppressed')
	if type(count) == 'number' then
		return count
	end
	if string.find(count.err, '^WRONGTYPE ') then
		problems[#problems + 1] = 'suppressed: not a sorted set, so ' ..
		    'mail is put off'
	end
	return nil
end

end
