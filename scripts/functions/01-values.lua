#!lua name=smtpusers
-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- The parts in this directory, one behind the other in the order of their
-- names, are loaded into Redis as the function library `smtpusers`; where there
-- are no functions, the same text without its first line is run by EVAL, the
-- function's name in front of the arguments.
--
-- This part: values.  canonical.KIND(TEXT) is the one way to write the value,
-- or the error INVALID, which says what is wrong and what would be right.  What
-- the relay refuses to read is refused here.  While a library loads there are
-- no global functions: all that runs then is to make tables and functions.

local PERIOD_MAX = 3650 * 86400
local COUNT_MAX = 1000000000000
local RATES_MAX = 8
local HASH_MAX = 383		-- CRYPT_OUTPUT_SIZE without its NUL
local DESCRIPTION_MAX = 1024
local FIELD_MAX = 1024		-- bytes that the relay reads
local DOMAIN_INPUT_MAX = 1024
local SHOWN_MAX = 200		-- bytes of a value that an error repeats

local UNITS = { [''] = 1, s = 1, m = 60, h = 3600, d = 86400, w = 604800 }
local MODES = { 'default', 'all', 'any' }
local STATUSES = { 'allowed', 'blocked', 'sandboxed' }

-- By what stands between the first two dollars.
local SCHEMES = { ['2a'] = 'bcrypt', ['2b'] = 'bcrypt', ['2y'] = 'bcrypt',
    ['1'] = 'md5crypt', ['5'] = 'sha256crypt', ['6'] = 'sha512crypt',
    ['7'] = 'scrypt', y = 'yescrypt', gy = 'gost-yescrypt',
    sha1 = 'sha1crypt' }

local canonical = {}

-- Microseconds, by the clock of Redis.
local function now()
	local t = redis.call('TIME')
	return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- Characters

-- The code point at a byte, and where the next one begins; nil where there is
-- no UTF-8.
local function code_at(text, at)
	local byte = string.byte(text, at)
	local more, code, least
	if byte < 0x80 then
		return byte, at + 1
	elseif byte >= 0xc2 and byte <= 0xdf then
		more, code, least = 1, byte - 0xc0, 0x80
	elseif byte >= 0xe0 and byte <= 0xef then
		more, code, least = 2, byte - 0xe0, 0x800
	elseif byte >= 0xf0 and byte <= 0xf4 then
		more, code, least = 3, byte - 0xf0, 0x10000
	else
		return nil
	end
	for i = at + 1, at + more do
		byte = string.byte(text, i)
		if not byte or byte < 0x80 or byte > 0xbf then
			return nil
		end
		code = code * 64 + byte - 0x80
	end
	if code < least or code > 0x10ffff or
	    (code >= 0xd800 and code <= 0xdfff) then
		return nil
	end
	return code, at + more + 1
end

-- All code points of a text, or nil.
local function codes_of(text)
	local codes, at, code = {}, 1, nil
	while at <= #text do
		code, at = code_at(text, at)
		if not code then
			return nil
		end
		codes[#codes + 1] = code
	end
	return codes
end

-- The range of a list that holds a code point: { first, last, step, ... }.
local function range_with(ranges, code)
	for _, range in ipairs(ranges) do
		if code >= range[1] and code <= range[2] and
		    (code - range[1]) % range[3] == 0 then
			return range
		end
	end
	return nil
end

-- The letters that a domain is converted with: each is valid under IDNA2008
-- wherever it stands, and no normalisation, no context and no direction of
-- writing has a say in it.  Not those that IDNA2003 read as others: sharp s and
-- final sigma.
local LETTERS = {
	-- Latin
	{ 0xe0, 0xf6, 1 }, { 0xf8, 0xff, 1 }, { 0x101, 0x12f, 2 },
	{ 0x131, 0x131, 1 }, { 0x135, 0x137, 2 }, { 0x138, 0x13e, 2 },
	{ 0x142, 0x148, 2 }, { 0x14b, 0x177, 2 }, { 0x17a, 0x17e, 2 },
	-- Greek
	{ 0x390, 0x390, 1 }, { 0x3ac, 0x3c1, 1 }, { 0x3c3, 0x3ce, 1 },
	-- Cyrillic
	{ 0x430, 0x45f, 1 }, { 0x461, 0x481, 2 }, { 0x48b, 0x4bf, 2 },
	{ 0x4c2, 0x4ce, 2 }, { 0x4cf, 0x52f, 2 },
	-- Hiragana, Katakana
	{ 0x3041, 0x3096, 1 }, { 0x309d, 0x309e, 1 }, { 0x30a1, 0x30fa, 1 },
	{ 0x30fc, 0x30fe, 1 },
	-- Ideographs, Hangul
	{ 0x3005, 0x3007, 1 }, { 0x3400, 0x4db5, 1 }, { 0x4e00, 0x9fd5, 1 },
	{ 0xac00, 0xd7a3, 1 },
}

-- Upper case of these, and the way to the lower.  Not the Greek sigma, which
-- has two.
local CAPITALS = {
	{ 0xc0, 0xd6, 1, 32 }, { 0xd8, 0xde, 1, 32 }, { 0x100, 0x12e, 2, 1 },
	{ 0x134, 0x136, 2, 1 }, { 0x139, 0x13d, 2, 1 }, { 0x141, 0x147, 2, 1 },
	{ 0x14a, 0x176, 2, 1 }, { 0x178, 0x178, 1, -121 },
	{ 0x179, 0x17d, 2, 1 },
	{ 0x386, 0x386, 1, 38 }, { 0x388, 0x38a, 1, 37 },
	{ 0x38c, 0x38c, 1, 64 }, { 0x38e, 0x38f, 1, 63 },
	{ 0x391, 0x3a1, 1, 32 }, { 0x3a4, 0x3ab, 1, 32 },
	{ 0x400, 0x40f, 1, 80 }, { 0x410, 0x42f, 1, 32 },
	{ 0x460, 0x480, 2, 1 }, { 0x48a, 0x4be, 2, 1 }, { 0x4c1, 0x4cd, 2, 1 },
	{ 0x4d0, 0x52e, 2, 1 },
}

-- More that errors may show as it is: nothing here moves or hides anything.
local SHOWN = { { 0xc0, 0x24f, 1 }, { 0x3a3, 0x3ce, 1 } }

-- What has no place in one line of text for people: controls, what is
-- invisible or turns the direction, and what is nobody's character.
local UNPRINTABLE = {
	{ 0x00, 0x1f, 1 }, { 0x7f, 0x9f, 1 }, { 0xad, 0xad, 1 },
	{ 0x600, 0x605, 1 }, { 0x61c, 0x61c, 1 }, { 0x6dd, 0x6dd, 1 },
	{ 0x70f, 0x70f, 1 }, { 0x180e, 0x180e, 1 }, { 0x200b, 0x200f, 1 },
	{ 0x2028, 0x202e, 1 }, { 0x2060, 0x206f, 1 }, { 0xe000, 0xf8ff, 1 },
	{ 0xfdd0, 0xfdef, 1 }, { 0xfeff, 0xfeff, 1 }, { 0xfff0, 0xfffb, 1 },
	{ 0xe0000, 0xe0fff, 1 }, { 0xf0000, 0x10ffff, 1 },
	{ 0xfffe, 0x10fffe, 0x10000 }, { 0xffff, 0x10ffff, 0x10000 },
}

-- A text as an error may repeat it: whatever is no plain letter is written as
-- bytes.
local function visible(text)
	local out, at = {}, 1
	local rest = #text > SHOWN_MAX and '...' or ''
	text = string.sub(text, 1, SHOWN_MAX)
	if not string.find(text, '[\\%c\128-\255]') then
		return text .. rest
	end
	while at <= #text do
		local code, after = code_at(text, at)
		if code and (code == 0x5c or code < 0x20 or code > 0x7e) and
		    not range_with(LETTERS, code) and
		    not range_with(CAPITALS, code) and
		    not range_with(SHOWN, code) then
			code = nil
		end
		if code then
			out[#out + 1] = string.sub(text, at, after - 1)
			at = after
		else
			out[#out + 1] = string.format('\\x%02x',
			    string.byte(text, at))
			at = at + 1
		end
	end
	return table.concat(out) .. rest
end

-- Errors

-- Ends the call; the first word of an error is its code.
local function fail(code, text)
	error({ err = code .. ' ' .. text }, 0)
end

local function invalid(text, why)
	fail('INVALID', visible(text) .. ': ' .. why)
end

-- The text of an error that pcall() has caught, if it begins with a code: it
-- was raised by fail() or is Redis's.  The pcall() of Redis gives the text
-- alone.
local function error_text(caught)
	local text = type(caught) == 'table' and caught.err or caught
	if type(text) == 'string' and string.find(text, '^%u+ ') then
		return text
	end
	return nil
end

-- The canonical text, or nil and what is wrong.
local function try(check, text)
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

-- Words

local function one_of(text, words)
	for _, word in ipairs(words) do
		if text == word then
			return text
		end
	end
	return invalid(text, 'none of ' .. table.concat(words, ', '))
end

function canonical.mode(text)
	return one_of(text, MODES)
end

function canonical.status(text)
	return one_of(text, STATUSES)
end

function canonical.plan(text)
	if #text > 32 or not string.find(text, '^[a-z0-9][a-z0-9._-]*$') then
		invalid(text, 'not a plan: pro, or another word of 1 to 32 ' ..
		    'of a-z 0-9 . _ -')
	end
	return text
end

local function name_of(text, what)
	local name = string.lower(text)
	if #name > 64 or not string.find(name, '^[a-z0-9][a-z0-9._+-]*$') then
		invalid(text, 'not ' .. what .. ': 1 to 64 of a-z 0-9 . ' ..
		    '_ + -, the first a letter or digit')
	end
	return name
end

function canonical.name(text)
	return name_of(text, 'a user name')
end

function canonical.account(text)
	return name_of(text, 'an account name')
end

-- "locked" for the ways of passwd(5) to lock a password; nil for no hash.
local function scheme_of(text)
	if string.find(text, '^[!*]') then
		return 'locked'
	end
	return SCHEMES[string.match(text, '^%$([a-z0-9]+)%$.') or '']
end

-- The error does not repeat it: it may be the password itself.
function canonical.hash(text)
	local scheme = scheme_of(text)
	local bad = scheme == 'locked' and '[^ -~]' or '[^!-~]'
	if not scheme or #text > HASH_MAX or string.find(text, bad) or
	    (scheme ~= 'locked' and string.find(text, '[:;*!\\]')) then
		fail('INVALID', 'password: not a hash that crypt(3) makes')
	end
	return text
end

function canonical.description(text)
	if #text <= DESCRIPTION_MAX and
	    not string.find(text, '[%c\128-\255]') then
		return text
	end
	local codes = #text <= DESCRIPTION_MAX and codes_of(text)
	for _, code in ipairs(codes or {}) do
		if range_with(UNPRINTABLE, code) then
			codes = nil
			break
		end
	end
	if not codes then
		fail('INVALID', 'description: not a single line of at most ' ..
		    DESCRIPTION_MAX .. ' bytes of UTF-8')
	end
	return text
end

-- Times

-- Days since 1970, by the calendar whose year begins in March.
local function date_of(days)
	days = days + 719468
	local era = math.floor(days / 146097)
	local doe = days - era * 146097
	local yoe = math.floor((doe - math.floor(doe / 1460) +
	    math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
	local doy = doe - (365 * yoe + math.floor(yoe / 4) -
	    math.floor(yoe / 100))
	local march = math.floor((5 * doy + 2) / 153)
	local day = doy - math.floor((153 * march + 2) / 5) + 1
	local month = march < 10 and march + 3 or march - 9
	return yoe + era * 400 + (month <= 2 and 1 or 0), month, day
end

-- As RFC 3339 has it, in UTC.
local function time_text(microseconds)
	local seconds = math.floor(microseconds / 1000000)
	local year, month, day = date_of(math.floor(seconds / 86400))
	local rest = seconds % 86400
	return string.format('%04d-%02d-%02dT%02d:%02d:%02dZ', year, month,
	    day, math.floor(rest / 3600), math.floor(rest / 60) % 60,
	    rest % 60)
end

local function days_of_month(year, month)
	if month == 2 then
		local leap = year % 4 == 0 and
		    (year % 100 ~= 0 or year % 400 == 0)
		return leap and 29 or 28
	end
	return (month == 4 or month == 6 or month == 9 or month == 11) and
	    30 or 31
end

function canonical.time(text)
	local year, month, day, hour, minute, second = string.match(text,
	    '^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)Z$')
	year, month, day = tonumber(year), tonumber(month), tonumber(day)
	if not year or month < 1 or month > 12 or day < 1 or
	    day > days_of_month(year, month) or tonumber(hour) > 23 or
	    tonumber(minute) > 59 or tonumber(second) > 60 then
		invalid(text, 'not a time in UTC, such as 2026-11-21T08:39:29Z')
	end
	return text
end

-- Numbers

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

-- As short as it can be written: 86400 is 1d.
local function period_text(text)
	local seconds = parse_period(text)
	for _, unit in ipairs({ 'd', 'h', 'm' }) do
		if seconds and seconds % UNITS[unit] == 0 then
			return string.format('%.0f%s', seconds / UNITS[unit],
			    unit)
		end
	end
	return seconds and string.format('%.0fs', seconds) or text
end

function canonical.quota(text)
	local n = parse_count(text)
	if not n then
		invalid(text, 'not a quota: a number of messages, at most ' ..
		    '10^12, 0 = unlimited')
	end
	return string.format('%.0f', n)
end

-- The unit stays as it was given.
local function trim_period(text)
	return (string.gsub(text, '^0+', ''))
end

function canonical.period(text)
	if not parse_period(text) then
		invalid(text, 'not a period: seconds, or a number with ' ..
		    's, m, h, d or w, at most 3650d')
	end
	return trim_period(text)
end

local function one_rate(text)
	local count, period = string.match(text, '^(%d+)/(%w+)$')
	local n = count and parse_count(count)
	if not n or n < 1 or not parse_period(period) then
		invalid(text, 'not a rate: messages/period, such as 100/1h')
	end
	return string.format('%.0f/%s', n, trim_period(period)),
	    string.format('%.0f/%.0f', n, parse_period(period))
end

function canonical.rate(text)
	local rates, seen = {}, {}
	if #text > FIELD_MAX then
		invalid(text, 'longer than ' .. FIELD_MAX .. ' bytes')
	end
	for word in string.gmatch(text, '[^ ]+') do
		local rate, meaning = one_rate(word)
		if not seen[meaning] then
			rates[#rates + 1] = rate
		end
		seen[meaning] = true
	end
	if #rates < 1 or #rates > RATES_MAX then
		invalid(text, #rates .. ' rates: a user has 1 to ' ..
		    RATES_MAX .. ', separated by spaces')
	end
	return table.concat(rates, ' ')
end

