-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Quotas and rates, judged and charged in one step: check, reserve, keep, refund.
--
-- Keys of every function, all in the slot of the user, or of the account:
--   1  user:{NAME}               the record, see 04c-limits.lua
--   2  user:{NAME}:used:quota    a window, see 04a-counters.lua
--   3  user:{NAME}:used:rate     see 04b-buckets.lua
--   4  user:{NAME}:used:hold:ID  a reservation, see 04g-holds.lua
--
-- A call is a table: keys; tagged, the values by tag; units; time, now in
-- microseconds; reserves, false in check; events, to which any part appends
-- what should be told of it, each a list { KIND, NAME, VALUE, ... } of strings.

local answer

-- What 11-alarms.lua adds to check and reserve, behind the limits:
--   refusal  of a call: the words of the answer where the message must not
--            pass; nil where it may.  It may write in a reservation alone.
--   charge   of a call, once all that is judged has room; what it returns is
--            put behind the reservation, "" or with a space before it
--   refund   of the keys and of what stands in a reservation that is given back
local alarms = {}

do

local HOLD = 3600	-- seconds that a reservation can be given back for
local KEPT = 300	-- and that a retry of one may come late by
local TAGS = { senders = true, alarms = true }

-- With what is to be told, and the number of these functions: a program that has
-- newer ones learns that they are not there any more, and that nobody has judged
-- what these know nothing of.
function answer(words, events)
	for _, event in ipairs(events or {}) do
		words[#words + 1] = event
	end
	words[#words + 1] = VERSION
	return words
end

-- The values by tag, of TAG COUNT VALUE... from an argument on.
local function tagged_of(args, at)
	local tagged = {}
	while at <= #args do
		local tag, values = args[at], {}
		local n = parse_digits(args[at + 1] or '', 5)
		if not TAGS[tag] or tagged[tag] then
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
	local l, bad = limits_of(call.keys[1], default_period)
	if not l then
		return { 'bad', bad }
	end
	local scope = scopes.of_record(call.keys, l)
	local why, of_senders = scopes.refusal(scope, call.units, call.time),
	    nil
	if not why then
		why, of_senders = senders.refusal(call, l)
	end
	return why or alarms.refusal(call), scope, of_senders
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
function api.check(keys, args)
	local call = call_of(keys, args, false)
	return answer(judge(call, args[1]) or { 'ok' }, call.events)
end

-- In the windows and in the counters that it came from.
local function give_back(keys, head, default_period)
	local units, places = holds.places(head, keys)
	if not units then
		return
	end
	local l, time = limits_of(keys[1], default_period), now()
	alarms.refund(keys, head)
	for i, place in ipairs(places) do
		scopes.give_back(place, units, l and l.period, time)
		if i > 1 then
			senders.tidy(place.scope)
		end
	end
end

-- Charges all that has room: what stands in the reservation then.
local function charge(call, scope, of_senders)
	local place = scopes.charge(scope, call.units, call.time)
	for _, sender in ipairs(of_senders) do
		sender.place = senders.charge(call, sender)
	end
	return holds.text(call.units, place, of_senders, alarms.charge(call))
end

-- reserve: the same, and charges all limits if all have room.  Asked again
-- with the same key 4, it answers the same, tells the same, and charges nothing;
-- given back already, {"void"}.  What older functions have reserved is judged
-- anew: they may know of fewer limits.
function api.reserve(keys, args)
	local call = call_of(keys, args, true)
	local head, told = holds.read(keys[4])
	if head == 'void' then
		return answer({ 'void' })
	elseif head == 'kept' or holds.made_by(head) >= VERSION then
		-- WAIT counts from the last write of its own connection.
		holds.write(keys[4], head, told, 'KEEPTTL')
		return answer({ 'ok' }, told)
	end
	give_back(keys, head, args[1])
	call.events = told
	local why, scope, of_senders = judge(call, args[1])
	if why then
		telling.refused(call, scope, why)
		if #call.events > 0 or head ~= '' then
			holds.write(keys[4], 'told', call.events, 'EX', KEPT)
		end
		return answer(why, call.events)
	end
	telling.charged(call, scope)
	holds.write(keys[4], charge(call, scope, of_senders), call.events, 'EX',
	    HOLD)
	return answer({ 'ok' }, call.events)
end

-- keep: what is reserved stays charged.  That it was is remembered a while, for
-- a reservation that had been sent twice.
function api.keep(keys)
	local _, places = holds.places(holds.read(keys[4]), keys)
	for _, place in ipairs(places or {}) do
		scopes.keep(place, now())
	end
	redis.call('SET', keys[4], 'kept', 'EX', KEPT)
	return answer({ 'ok' })
end

-- refund: DEFAULT_PERIOD and, where nobody has heard what it was answered,
-- unheard.  Gives a reservation back, and tells what is to be told of it to whom
-- has not heard.  Whatever comes for it later is void, be it a refund again or the
-- reservation itself, which may have been under way on a connection lost.
function api.refund(keys, args)
	local head, told = holds.read(keys[4])
	if head == 'kept' then
		return answer({ 'ok' })
	end
	give_back(keys, head, args[1])
	if args[2] ~= 'unheard' then
		told = {}
	end
	holds.write(keys[4], 'void', told, 'EX', HOLD)
	return answer({ 'ok' }, told)
end

end
