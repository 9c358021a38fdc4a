#!lua name=smtpusers_5_@HASH@
-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- The parts in this directory, one behind the other in the order of their
-- names, are the function library, where @HASH@ stands for the first 16 digits
-- of the SHA-256 of that text.  Its name tells the version: whoever loads it
-- deletes the one that was found, by its name, in the same transaction.  Where
-- another client has come in between, both fail, for no two libraries have
-- functions of the same name.
--
-- This part: values.  canonical.KIND(TEXT) is the one way to write the value,
-- or the error INVALID, which says what is wrong and what would be right.  What
-- the relay refuses to read is refused here.  While a library loads there are
-- no global functions: all that runs then is to make tables and functions.

-- As in the name.  One more whenever calls, or what they leave in Redis, change: of
-- two texts with one number neither stays, and neither is known for the older.
local VERSION = 5
local HASH = '@HASH@'

local PERIOD_MAX = 3650 * 86400
local COUNT_MAX = 1000000000000
local RATES_MAX = 8
local HASH_MAX = 383		-- CRYPT_OUTPUT_SIZE without its NUL
local DESCRIPTION_MAX = 1024
local FIELD_MAX = 1024		-- bytes that the relay reads
local DOMAIN_INPUT_MAX = 1024
local SHOWN_MAX = 200		-- bytes of a value that an error repeats
local SLOW = 5			-- milliseconds that verifying a hash may take

local UNITS = { [''] = 1, s = 1, m = 60, h = 3600, d = 86400, w = 604800 }
local MODES = { 'default', 'all', 'any' }
local FLAGS = { '0', '1' }
local OVERS = { 'defer', 'reject', 'sandbox' }
local STATUSES = { 'allowed', 'blocked', 'sandboxed' }

-- By what stands between the first two dollars.
local SCHEMES = { ['2a'] = 'bcrypt', ['2b'] = 'bcrypt', ['2y'] = 'bcrypt',
    ['1'] = 'md5crypt', ['5'] = 'sha256crypt', ['6'] = 'sha512crypt',
    ['7'] = 'scrypt', y = 'yescrypt', gy = 'gost-yescrypt',
    sha1 = 'sha1crypt' }

-- What a call does at most, for its time: nobody else is answered meanwhile.
local LIMITS = {
	members = 2500,		-- domains and ranges, or other words
	bytes = 81920,		-- of all arguments
	decoded = 8192,		-- bytes of A-labels that are decoded
	records = 100,		-- that are imported, and words of these
	words = 5000,
	page = 100,		-- keys that a page looks at
	checked = 100,		-- of one that looks for problems
	read = 2500,		-- members of all sets that a page reads
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

-- Whether a code point has no place in one line of text for people: controls,
-- what is invisible or turns the direction, and what is nobody's character.
local is_unprintable
do
	local UNPRINTABLE = {
		{ 0x00, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad },
		{ 0x600, 0x605 }, { 0x61c, 0x61c }, { 0x6dd, 0x6dd },
		{ 0x70f, 0x70f }, { 0x180e, 0x180e }, { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xe000, 0xf8ff },
		{ 0xfdd0, 0xfdef }, { 0xfeff, 0xfeff }, { 0xfff0, 0xfffb },
		{ 0xe0000, 0xe0fff }, { 0xf0000, 0x10ffff },
	}

	function is_unprintable(code)
		if code % 0x10000 >= 0xfffe then
			return true
		end
		for _, range in ipairs(UNPRINTABLE) do
			if code >= range[1] and code <= range[2] then
				return true
			end
		end
		return false
	end
end

-- A text as an error may repeat it: what is no printable ASCII is written as
-- bytes.
local function visible(text)
	local rest = #text > SHOWN_MAX and '...' or ''
	text = string.sub(text, 1, SHOWN_MAX)
	return string.gsub(text, '[%c\\\128-\255]', function(byte)
		return string.format('\\x%02x', string.byte(byte))
	end) .. rest
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

-- Words

local function one_of(text, words)
	for _, word in ipairs(words) do
		if text == word then
			return text
		end
	end
	return invalid(text, 'not one of ' .. table.concat(words, ', '))
end

function canonical.mode(text)
	return one_of(text, MODES)
end

function canonical.status(text)
	return one_of(text, STATUSES)
end

function canonical.over(text)
	return one_of(text, OVERS)
end

function canonical.flag(text)
	return one_of(text, FLAGS)
end

function canonical.plan(text)
	if #text > 32 or not string.find(text, '^[a-z0-9][a-z0-9._-]*$') then
		invalid(text, 'not a plan: pro, or another word of 1 to 32 ' ..
		    'of a-z 0-9 . _ -')
	end
	return text
end

local function name_of(text, what)
	local name = #text <= 64 and string.lower(text)
	if not name or not string.find(name, '^[a-z0-9][a-z0-9._+-]*$') then
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

function canonical.prefix(text)
	return name_of(text, 'the beginning of a user name')
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
	-- crypt(5): none of : ; * ! \.
	local good = scheme == 'locked' and '^[ -~]*$' or
	    '^[%w$./"#%%&\'()+,<=>?@%[%]^_`{|}~-]*$'
	if not scheme or #text > HASH_MAX or not string.find(text, good) then
		fail('INVALID', 'password: not a hash that crypt(3) makes')
	end
	return text
end

-- About how long it takes to verify a password by a hash, in milliseconds, where
-- that is more than smtpd should stand still for; nil where it is not.  The
-- factors were measured with libxcrypt 4.4 on a processor of 2023.
local slow_hash
do
	local DIGITS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ' ..
	    'abcdefghijklmnopqrstuvwxyz'

	local function digit(text, at)
		local c = string.sub(text, at, at)
		return c ~= '' and string.find(DIGITS, c, 1, true) - 1 or 64
	end

	local function rounds(default, factor)
		return function(text)
			local n = string.match(text, '^%$%d%$rounds=(%d+)%$')
			return (tonumber(n) or default) * factor
		end
	end

	-- Digits from 48 on, and what follows the first two, are for parameters
	-- that nobody uses.
	local function yescrypt(text)
		local params = string.match(text, '^%$g?y%$j([^$]*)%$')
		local n, r = digit(params or '', 1), digit(params or '', 2)
		if #(params or '') ~= 2 or n >= 48 or r >= 48 then
			return math.huge
		end
		return 2 ^ (n + 1) * (r + 1) * 1.1e-4
	end

	local TIMES = {
		bcrypt = function(text)
			return 2 ^ (tonumber(string.match(text,
			    '^%$2.%$(%d%d)%$')) or 64) * 0.043
		end,
		sha512crypt = rounds(5000, 1.9e-4),
		sha256crypt = rounds(5000, 3e-4),
		sha1crypt = function(text)
			return (tonumber(string.match(text,
			    '^%$sha1%$(%d+)%$')) or math.huge) * 5e-4
		end,
		scrypt = function(text)
			return 2 ^ digit(text, 4) * digit(text, 5) * 3.3e-4
		end,
		yescrypt = yescrypt,
		['gost-yescrypt'] = yescrypt,
	}

	function slow_hash(text)
		local time = TIMES[scheme_of(text) or '']
		time = time and time(text)
		return time and time > SLOW and time or nil
	end
end

-- What is said of it.
local function slow_text(text)
	local time = slow_hash(text)
	if not time then
		return nil
	end
	local about = time > 9999 and 'much longer than' or
	    string.format('about %.0f ms, more than the', time)
	return 'password: to verify this ' .. scheme_of(text) ..
	    ' hash takes ' .. about .. ' ' .. SLOW ..
	    ' ms that smtpd can spare'
end

function canonical.description(text)
	if #text <= DESCRIPTION_MAX and
	    not string.find(text, '[%c\128-\255]') then
		return text
	end
	local codes = #text <= DESCRIPTION_MAX and codes_of(text)
	for _, code in ipairs(codes or {}) do
		if is_unprintable(code) then
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

do
	local SHORT = { [4] = true, [6] = true, [9] = true, [11] = true }

	local function days_of_month(year, month)
		if month ~= 2 then
			return SHORT[month] and 30 or 31
		end
		return year % 4 == 0 and (year % 100 ~= 0 or
		    year % 400 == 0) and 29 or 28
	end

	local is_date = remembering(function(text)
		local year, month, day = string.match(text,
		    '^(%d%d%d%d)-(%d%d)-(%d%d)$')
		year, month, day = tonumber(year), tonumber(month),
		    tonumber(day)
		return year and month >= 1 and month <= 12 and day >= 1 and
		    day <= days_of_month(year, month)
	end)

	function canonical.time(text)
		local hour, second = string.match(text,
		    '^T(%d%d):[0-5]%d:([0-6]%d)Z$', 11)
		if not hour or hour > '23' or second > '60' or
		    not is_date(string.sub(text, 1, 10)) then
			invalid(text, 'not a time in UTC, such as ' ..
			    '2026-11-21T08:39:29Z')
		end
		return text
	end
end

-- Numbers

-- The one reading of numbers: leading zeros, however many, do not count.
local function parse_digits(text, most)
	local digits = #text <= FIELD_MAX and string.match(text, '^0*(%d+)$')
	return digits and #digits <= most and tonumber(digits) or nil
end

local function parse_count(text)
	local n = parse_digits(text, 13)
	return n and n <= COUNT_MAX and n or nil
end

local function count_text(text, n)
	return string.byte(text) ~= 48 and text or string.format('%.0f', n)
end

-- Seconds of "3600", "1h", "30d".
local function parse_period(text)
	local digits, unit = string.match(text, '^(%d+)(%a?)$')
	local n = digits and UNITS[unit] and parse_digits(digits, 10)
	local seconds = n and n * UNITS[unit]
	return seconds and seconds >= 1 and seconds <= PERIOD_MAX and
	    seconds or nil
end

parse_period = remembering(parse_period)

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

period_text = remembering(period_text)

function canonical.quota(text)
	local n = parse_count(text)
	if not n then
		invalid(text, 'not a quota: a number of messages, at most ' ..
		    '10^12, 0 = unlimited')
	end
	return count_text(text, n)
end

function canonical.limit(text)
	local n = parse_count(text)
	if not n then
		invalid(text, 'not a limit: a number, at most 10^12, 0 = none')
	end
	return count_text(text, n)
end

local SIZES = { [''] = 1, K = 1024, M = 1024 * 1024, G = 1024 * 1024 * 1024 }

function canonical.size(text)
	local digits, unit = string.match(text, '^(%d+)(.?)$')
	local n = digits and SIZES[unit] and parse_count(digits)
	if not n or n * SIZES[unit] > COUNT_MAX then
		invalid(text, 'not a size: bytes, or a number with K, M or ' ..
		    'G, at most 10^12, 0 = unlimited')
	end
	return string.format('%.0f', n * SIZES[unit])
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

-- The rates of a text, of which those that mean the same count once: each with
-- its number n, its period in seconds and as a text, its text, and the name of
-- its counter.  Nil and the word that is none.
local parse_rates = remembering(function(text)
	local rates, seen = {}, {}
	for word in string.gmatch(text, '[^ ]+') do
		local count, period = string.match(word, '^(%d+)/(%w+)$')
		local n = count and parse_count(count)
		local seconds = period and parse_period(period)
		if not n or n < 1 or not seconds then
			return nil, word
		end
		local name = string.format('%.0f/%.0f', n, seconds)
		if not seen[name] then
			period = trim_period(period)
			rates[#rates + 1] = { n = n, period = seconds,
			    period_text = period, name = name,
			    text = string.format('%.0f/%s', n, period) }
		end
		seen[name] = true
	end
	return rates
end)

function canonical.rate(text)
	if #text > FIELD_MAX then
		invalid(text, 'longer than ' .. FIELD_MAX .. ' bytes')
	end
	local texts = {}
	local rates, bad = parse_rates(text)
	if not rates then
		invalid(bad, 'not a rate: messages/period, such as 100/1h')
	elseif #rates < 1 or #rates > RATES_MAX then
		invalid(text, #rates .. ' rates: a user has 1 to ' ..
		    RATES_MAX .. ', separated by spaces')
	end
	for i, rate in ipairs(rates) do
		texts[i] = rate.text
	end
	return table.concat(texts, ' ')
end

-- What most records have of these is the same.
do
	local COMMON = { 'mode', 'status', 'over', 'flag', 'plan', 'quota',
	    'limit', 'size', 'period', 'rate' }
	for i = 1, #COMMON do
		canonical[COMMON[i]] = remembering(canonical[COMMON[i]])
	end
end

