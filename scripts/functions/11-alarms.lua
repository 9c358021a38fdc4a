-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Alarms: what is unusual of a user, counted in windows, and what becomes of the
-- user then.  The relay says with each call what is counted, since it knows the
-- configuration and the account: KIND:LIMIT:PERIOD:ACTION:LASTS, separated by
-- spaces, with seconds, and 0 for what lasts until somebody ends it.
--
-- Keys beside those of 04h-reservations.lua, each of which expires with its
-- window:
--   user:{NAME}:used:alarm:KIND       of what is different: a set of it, up to
--                                     the limit, or a HyperLogLog, where the
--                                     limit is too high for a set, or was in
--                                     this window; otherwise a number
--   user:{NAME}:used:alarm:KIND:told  the limits that notices have told to be
--                                     passed
--   user:{NAME}:used:hold:ID          "counted by:VERSION" of what is no message,
--                                     should it be counted again; what is to be
--                                     told as there
--
-- A reservation has " volume:NUMBER:END" behind it: what it has added to volume,
-- and when, in milliseconds, that window ends.
--
-- Who is blocked or sandboxed by an alarm is not counted any more, and counted
-- from nothing once that has ended.

do

local EXACT = 128		-- Redis packs sets up to this size
local LIMIT_MAX = 1000000
local KEPT = 3600		-- seconds that a retry may come late by
local DIGEST = 16		-- hexadecimal digits of a recipient
local TEXT_MAX = 63		-- bytes of a word, or of a member stored as it is
local STATUS = { block = 'blocked', sandbox = 'sandboxed' }
local NOTICE = 'notice'

-- What each kind counts: what is different, or a number.
local DIFFERENT = { sources = true, senders = true, recipients = true,
    volume = false, blocked = false, failures = false }
local KINDS = { 'sources', 'senders', 'recipients', 'volume', 'blocked',
    'failures' }

-- What comes behind the key of a user.  While a library loads there is no
-- ipairs().
local COUNTERS = {}
for i = 1, #KINDS do
	COUNTERS[#COUNTERS + 1] = ':used:alarm:' .. KINDS[i]
	COUNTERS[#COUNTERS + 1] = ':used:alarm:' .. KINDS[i] .. ':told'
end
for i = 1, #COUNTERS do
	USER.leftover[#USER.leftover + 1] = COUNTERS[i]
end

-- Limits of one's own

local function limit_of(word)
	local kind, rest = string.match(word, '^(%l+)=(.*)$')
	local count, period = string.match(rest or '', '^(%d+)/(%w+)$')
	local n = count and parse_count(count)
	if #word > TEXT_MAX or (kind and DIFFERENT[kind] == nil) then
		return nil
	elseif rest == 'off' then
		return kind, kind .. '=off'
	elseif n and n >= 1 and n <= LIMIT_MAX and parse_period(period) then
		return kind, string.format('%s=%.0f/%s', kind, n,
		    trim_period(period))
	end
end

function canonical.alarms(text)
	local words, seen = {}, {}
	if #text > FIELD_MAX then
		invalid(text, 'longer than ' .. FIELD_MAX .. ' bytes')
	end
	for word in string.gmatch(text, '[^ ]+') do
		local kind, right = limit_of(word)
		if not kind then
			invalid(word, 'not the limit of an alarm, such as ' ..
			    'sources=50/1h or sources=off; there are ' ..
			    table.concat(KINDS, ', '))
		elseif seen[kind] then
			invalid(kind, 'named twice')
		end
		words[#words + 1], seen[kind] = right, true
	end
	if #words == 0 then
		invalid(text, 'no limit of an alarm')
	end
	return table.concat(words, ' ')
end

-- Counting

local function counter_key(key, alarm)
	return key .. ':used:alarm:' .. alarm.kind
end

-- The keys of all counters of a user.
function alarms.counters(key)
	local keys = {}
	for i, suffix in ipairs(COUNTERS) do
		keys[i] = key .. suffix
	end
	return keys
end

-- Nothing is added that is not needed to know that the limit is passed.
local function add_to_set(key, members, count, limit)
	for first = 1, #members, EXACT do
		if count > limit then
			break
		end
		redis.call('SADD', key, unpack(members, first,
		    math.min(first + EXACT - 1, #members)))
		count = redis.call('SCARD', key)
	end
	return count
end

local function add_to_estimate(key, members)
	for_words('PFADD', key, members)
	return redis.call('PFCOUNT', key)
end

-- What was counted exactly is from now on estimated, until its window ends.
local function widen(key)
	local members = redis.call('SRANDMEMBER', key,
	    string.format('%.0f', 2 * EXACT))
	local ends = redis.call('PEXPIRETIME', key)
	redis.call('UNLINK', key)
	for_words('PFADD', key, members)
	if ends > 0 then
		redis.call('PEXPIRE', key, string.format('%.0f',
		    math.max(1, ends - math.floor(now() / 1000))))
	end
end

-- The limit may change within a window; what was counted stays.
local function add_different(key, members, limit)
	local size = reply_or_nil(redis.pcall('SCARD', key))
	if size and limit <= EXACT then
		return add_to_set(key, members, size, limit)
	elseif size and size > 0 then
		widen(key)
	end
	return add_to_estimate(key, members)
end

local function add_to_number(key, n)
	local text = redis.call('GET', key)
	local before = text and parse_digits(text, 15) or 0
	if text and not parse_digits(text, 15) then
		fail('WRONGTYPE', 'not a number')
	end
	redis.call('SET', key, string.format('%.0f', before + n), 'KEEPTTL')
	return before + n
end

-- What is counted now; it ends with its window, also where that has become
-- shorter, or where something has taken its end away.
local function count_in(key, alarm, what)
	local count
	if type(what) == 'number' then
		count = add_to_number(key, what)
	else
		count = add_different(key, what, alarm.limit)
	end
	redis.call('PEXPIRE', key, string.format('%.0f', alarm.period * 1000),
	    'LT')
	return count
end

-- The same; nil where the counter cannot be read.
local function count_or_nil(key, alarm, what)
	local ok, count = pcall(count_in, key, alarm, what)
	local text = not ok and error_text(count) or ''
	if not ok and not string.find(text, '^WRONGTYPE ') and
	    not string.find(text, '^INVALIDOBJ ') then
		error(count, 0)
	end
	return ok and count or nil
end

-- Judging

local function plan_of(text)
	local plan = {}
	for word in string.gmatch(text or '', '[^ ]+') do
		local kind, limit, period, action, lasts = string.match(word,
		    '^(%l+):(%d+):(%d+):(%l+):(%d+)$')
		if not kind or DIFFERENT[kind] == nil or
		    not (STATUS[action] or action == NOTICE) then
			invalid(word, 'not an alarm')
		end
		plan[#plan + 1] = { kind = kind, limit = tonumber(limit),
		    period = tonumber(period), action = action,
		    lasts = tonumber(lasts) }
	end
	return plan
end

local function account_of(key)
	return telling.account(redis.call('HGET', key, 'account') or '')
end

-- A status that has run out leaves nothing behind that would end another one.
local function end_status(key, former, events)
	redis.call('HSET', key, 'status', 'allowed')
	redis.call('HDEL', key, 'blocked_by', 'blocked_at', 'blocked_until')
	events[#events + 1] = { 'user.allowed', 'former', former, 'by', 'time',
	    'account', account_of(key) }
end

local function set_off(key, alarm, time)
	local ends = ''
	redis.call('HSET', key, 'status', STATUS[alarm.action], 'blocked_by',
	    'alarm:' .. alarm.kind, 'blocked_at', time_text(time))
	if alarm.lasts > 0 then
		ends = time_text(time + alarm.lasts * 1000000 + 999999)
		redis.call('HSET', key, 'blocked_until', ends)
	else
		redis.call('HDEL', key, 'blocked_until')
	end
	redis.call('UNLINK', unpack(alarms.counters(key)))
	return ends
end

local function event_of(key, alarm, count, ends)
	return { 'alarm.' .. alarm.kind, 'action', alarm.action,
	    'count', string.format('%.0f', count),
	    'limit', string.format('%.0f', alarm.limit),
	    'period', period_text(string.format('%.0f', alarm.period)),
	    'until', ends,
	    'account', account_of(key) }
end

-- Whether a notice has not been told in this window.  A number may have passed the
-- limit before, and been given back: no client is to fill the stream of events.
-- Of another limit it is told anew, and once: relays may have different ones.
local function is_news(counter, alarm)
	local key, limit = counter .. ':told', string.format('%.0f', alarm.limit)
	local told = redis.pcall('GET', key) or ''
	if type(told) == 'table' or #told > TEXT_MAX or
	    string.find(' ' .. told .. ' ', ' ' .. limit .. ' ', 1, true) then
		return false
	end
	redis.call('SET', key, told .. ' ' .. limit, 'PXAT',
	    string.format('%.0f', redis.call('PEXPIRETIME', counter)))
	return true
end

-- Counts what there is of each kind.  The words to refuse a message with, or nil;
-- what has been set off is behind the events.  Then whether any limit is not passed
-- yet: if none is, to count the same again changes nothing.
local function count(key, plan, facts, time, events)
	local open = false
	for _, alarm in ipairs(plan) do
		local what = facts[alarm.kind]
		local counter = what and counter_key(key, alarm)
		local after = what and count_or_nil(counter, alarm, what)
		if what and not after then
			return { 'bad', string.sub(counter, #key + 2) }
		elseif what and after > alarm.limit and STATUS[alarm.action] then
			local ends = set_off(key, alarm, time)
			events[#events + 1] = event_of(key, alarm, after,
			    ends)
			return { 'alarm', alarm.action, 'alarm:' .. alarm.kind }
		elseif what and after > alarm.limit and
		    is_news(counter, alarm) then
			events[#events + 1] = event_of(key, alarm, after, '')
		end
		open = open or (after or math.huge) <= alarm.limit
	end
	return nil, open
end

-- Whoever was blocked since the relay asked about the user is so for this
-- message too.  Without events nothing is written.
local function held_back(key, time, events)
	local held = redis.call('HMGET', key, 'status', 'blocked_until',
	    'blocked_by')
	local status = status_now(held[1], held[2], time)
	if events and status == 'allowed' and
	    (held[1] or 'allowed') ~= 'allowed' and held[1] ~= '' then
		end_status(key, held[1], events)
	end
	for action, word in pairs(STATUS) do
		if word == status then
			return { 'alarm', action, held[3] or '' }
		end
	end
end

-- Calls

local function digests_of(text)
	local digests = {}
	for at = 1, #text, DIGEST do
		digests[#digests + 1] = string.sub(text, at, at + DIGEST - 1)
	end
	return digests
end

-- Members are short, whatever is counted.
local function short(texts)
	local out = {}
	for i, text in ipairs(texts) do
		out[i] = #text <= TEXT_MAX and text or redis.sha1hex(text)
	end
	return #out > 0 and out or nil
end

-- The tag alarms: what is counted, the source, how many recipients, and a digest
-- of each where these are counted.  The tag senders has the domains.
function alarms.refusal(call)
	local values = call.tagged.alarms
	if not values then
		return nil
	elseif #values ~= 4 then
		invalid('alarms', 'takes four values')
	end
	local key = call.keys[1]
	local why = held_back(key, call.time, call.reserves and call.events)
	if why then
		return why
	elseif not call.reserves or not exists(key) then
		return nil
	end
	local digests = digests_of(values[4])
	return count(key, plan_of(values[1]), {
		sources = values[2] ~= '' and { values[2] } or nil,
		senders = short(call.tagged.senders or {}),
		volume = parse_digits(values[3], 15),
		recipients = #digests > 0 and digests or nil,
	}, call.time, call.events)
end

-- Of what is no message that was accepted: ALARMS KIND VALUE, a source or a
-- number, and ID -> {"ok"}, {"alarm", action, by} or {"bad", key}, behind that
-- what is to be told and the version.  Asked again with the same ID, it counts
-- nothing and tells the same.  It leaves a key for that only where it matters: a
-- client can have far more messages refused than any limit.
function api.alarm(keys, args)
	local key = record_of(keys, USER)
	local time = now()
	local different = DIFFERENT[args[2] or '']
	if #args < 3 or #args > 4 or different == nil or
	    not (different or parse_digits(args[3], 15)) or
	    not string.find(args[4] or '0', '^%x+$') then
		fail('INVALID', 'the call takes what is counted, a kind, ' ..
		    'what there is of it, and an id')
	end
	local hold = key .. ':used:hold:' .. (args[4] or '')
	local head, events = '', {}
	if args[4] then
		head, events = holds.read(hold)
	end
	local facts = { [args[2]] = different and short({ args[3] }) or
	    parse_digits(args[3], 15) }
	local why, open
	if holds.made_by(head) < VERSION and exists(key) then
		why = held_back(key, time, events)
		if not why then
			why, open = count(key, plan_of(args[1]), facts, time,
			    events)
		end
	end
	if args[4] and (open and not different or #events > 0) and
	    not (why and why[1] == 'bad') then
		holds.write(hold, 'counted by:' .. VERSION, events, 'EX', KEPT)
	end
	return answer(why or { 'ok' }, events)
end

local function volume_of(key)
	local text = redis.pcall('GET', key)
	return type(text) == 'string' and parse_digits(text, 15)
end

-- Recipients in number are given back, in the window that they were counted in;
-- what is different stays counted, since the message that is sent again is not
-- different.
function alarms.charge(call)
	local values = call.tagged.alarms
	if not values or not string.find(values[1], 'volume:', 1, true) then
		return ''
	end
	return string.format(' volume:%.0f:%.0f', parse_digits(values[3], 15),
	    redis.call('PEXPIRETIME', call.keys[1] .. ':used:alarm:volume'))
end

function alarms.refund(keys, hold)
	local key = keys[1] .. ':used:alarm:volume'
	local n, ends = string.match(hold, ' volume:(%d+):(%d+)$')
	local count = n and volume_of(key)
	if count and redis.call('PEXPIRETIME', key) == tonumber(ends) then
		redis.call('SET', key, string.format('%.0f',
		    math.max(0, count - tonumber(n))), 'KEEPTTL')
	end
end

end
