#!lua name=smtpusers
-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- The parts in this directory, one behind the other in the order of their
-- names, are loaded into Redis as the function library `smtpusers`; where there
-- are no functions, the same text without its first line is run by EVAL, the
-- function's name in front of the arguments.
--
-- This part: values, and the time of Redis in microseconds.

local PERIOD_MAX = 3650 * 86400
local COUNT_MAX = 1000000000000
local RATES_MAX = 8

local UNITS = { [''] = 1, s = 1, m = 60, h = 3600, d = 86400, w = 604800 }

local function now()
	local t = redis.call('TIME')
	return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local function parse_count(text)
	if not string.match(text, '^%d+$') or #text > 13 then
		return nil
	end
	local n = tonumber(text)
	if n > COUNT_MAX then
		return nil
	end
	return n
end

-- Seconds of "3600", "1h", "30d".
local function parse_period(text)
	local digits, unit = string.match(text, '^(%d+)(%a?)$')
	if not digits or #digits > 10 or not UNITS[unit] then
		return nil
	end
	local seconds = tonumber(digits) * UNITS[unit]
	if seconds < 1 or seconds > PERIOD_MAX then
		return nil
	end
	return seconds
end

