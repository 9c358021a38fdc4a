#!lua name=smtpusers_8_@HASH@
-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- The parts in this directory, one behind the other in the order of their
-- names, are the function library, where @RELEASE@ stands for the number of all
-- programs, and then @HASH@ for the first 16 digits of the SHA-256 of that text.
-- Its name tells the version: whoever loads it deletes the one that was found, by
-- its name, in the same transaction.  Where another client has come in between,
-- both fail, for no two libraries have functions of the same name.
--
-- A part keeps to itself what it alone uses, in do ... end: Lua has 200 local
-- names at most.  While a library loads there are no global functions: all that
-- runs then is to make tables and functions.
--
-- This part: what all others use.

-- As in the name.  One more whenever calls, or what they leave in Redis, change: of
-- two texts with one number neither stays, and neither is known for the older.
local VERSION = 8
local HASH = '@HASH@'
local RELEASE = '@RELEASE@'

local PERIOD_MAX = 3650 * 86400
local COUNT_MAX = 1000000000000
local RATES_MAX = 8
local FIELD_MAX = 1024		-- bytes that the relay reads

-- What a call does at most, for its time: nobody else is answered meanwhile.
local LIMITS = {
	members = 2500,		-- domains and ranges, or other words
	bytes = 81920,		-- of all arguments
	decoded = 8192,		-- bytes of A-labels that are decoded
	records = 100,		-- that are imported, and words of these
	words = 5000,
	replaced = 10000,	-- members of sets that are replaced
	tidied = 1000,		-- suppressed recipients whose time is over
	page = 50,		-- keys that a page looks at
	strays = 100,		-- those that strays looks at
	checked = 100,		-- of one that looks for problems
	read = 2500,		-- members of all sets that a page reads
	counted = 32768,	-- bytes of counters that a page reads
	exact = 32768,		-- bytes of odd texts that are shown exactly
	listed = 500,		-- members of a set that are shown or looked at
}

local left			-- of that, in this call

local canonical = {}
local api = {}			-- what can be called, by name

-- Microseconds, by the clock of Redis.
local function now()
	local t = redis.call('TIME')
	return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- Errors

local visible, fail, invalid, error_text, reply_or_nil, try

do

local SHOWN_MAX = 200		-- bytes of a value that an error repeats

local escapes			-- by the byte that one stands for

local function make_escapes()
	escapes = {}
	for byte = 0, 255 do
		escapes[string.char(byte)] = string.format('\\x%02x', byte)
	end
	return escapes
end

-- A text as an error may repeat it: what is no printable ASCII is written as
-- bytes.
function visible(text)
	local rest = #text > SHOWN_MAX and '...' or ''
	text = string.sub(text, 1, SHOWN_MAX)
	return string.gsub(text, '[%c\\\128-\255]', escapes or make_escapes()) ..
	    rest
end

-- Ends the call; the first word of an error is its code.
function fail(code, text)
	error({ err = code .. ' ' .. text }, 0)
end

function invalid(text, why)
	fail('INVALID', visible(text) .. ': ' .. why)
end

-- The text of an error that pcall() has caught, if it begins with a code: it
-- was raised by fail() or is Redis's.  The pcall() of Redis gives the text
-- alone.
function error_text(caught)
	local text = type(caught) == 'table' and caught.err or caught
	if type(text) == 'string' and string.find(text, '^%u+ ') then
		return text
	end
	return nil
end

-- What a pcall() of Redis has replied; nil where the key holds something of
-- another type.  Any other error ends the call.
function reply_or_nil(reply)
	if type(reply) ~= 'table' or not reply.err then
		return reply
	elseif string.find(reply.err, 'WRONGTYPE', 1, true) then
		return nil
	end
	error({ err = reply.err }, 0)
end

-- The canonical text, or nil and what is wrong.
function try(check, text)
	local ok, result = pcall(check, text)
	if ok then
		return result
	end
	local why = string.match(error_text(result) or '', '^INVALID (.*)$')
	if not why then
		error(result, 0)
	end
	return nil, why
end

end

-- A check of texts of which many are the same: its results for the last of them
-- are kept.
local function remembering(check)
	local KEPT = 100
	local kept, count = {}, 0
	return function(text)
		local result, why = kept[text], nil
		if result then
			return result
		end
		result, why = check(text)
		if result and #text <= FIELD_MAX then
			if count == KEPT then
				kept, count = {}, 0
			end
			kept[text], count = result, count + 1
		end
		return result, why
	end
end
