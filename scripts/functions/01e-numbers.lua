-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Numbers: quotas, limits and sizes, periods, rates.

local parse_digits, parse_count, parse_period, period_text, parse_rates
local trim_period

do

local UNITS = { [''] = 1, s = 1, m = 60, h = 3600, d = 86400, w = 604800 }
local SIZES = { [''] = 1, K = 1024, M = 1024 * 1024, G = 1024 * 1024 * 1024 }

-- The one reading of numbers: leading zeros, however many, do not count.
function parse_digits(text, most)
	local digits = #text <= FIELD_MAX and string.match(text, '^0*(%d+)$')
	return digits and #digits <= most and tonumber(digits) or nil
end

function parse_count(text)
	local n = parse_digits(text, 13)
	return n and n <= COUNT_MAX and n or nil
end

local function count_text(text, n)
	return string.byte(text) ~= 48 and text or string.format('%.0f', n)
end

-- Seconds of "3600", "1h", "30d".
local function read_period(text)
	local digits, unit = string.match(text, '^(%d+)(%a?)$')
	local n = digits and UNITS[unit] and parse_digits(digits, 10)
	local seconds = n and n * UNITS[unit]
	return seconds and seconds >= 1 and seconds <= PERIOD_MAX and
	    seconds or nil
end

parse_period = remembering(read_period)

-- As short as it can be written: 86400 is 1d.
local function shortest(text)
	local seconds = parse_period(text)
	for _, unit in ipairs({ 'd', 'h', 'm' }) do
		if seconds and seconds % UNITS[unit] == 0 then
			return string.format('%.0f%s', seconds / UNITS[unit],
			    unit)
		end
	end
	return seconds and string.format('%.0fs', seconds) or text
end

period_text = remembering(shortest)

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
function trim_period(text)
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
-- its counter.  Nil and what is wrong where the relay takes none of it, before
-- much is made of it: whoever may write a record may write anything there.
parse_rates = remembering(function(text)
	local rates, seen = {}, {}
	if #text > FIELD_MAX then
		return nil, visible(text) .. ': longer than ' .. FIELD_MAX ..
		    ' bytes'
	end
	for word in string.gmatch(text, '[^ ]+') do
		local count, period = string.match(word, '^(%d+)/(%w+)$')
		local n = count and parse_count(count)
		local seconds = period and parse_period(period)
		if not n or n < 1 or not seconds then
			return nil, visible(word) .. ': not a rate: ' ..
			    'messages/period, such as 100/1h'
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
	if #rates > RATES_MAX then
		return nil, visible(text) .. ': ' .. #rates ..
		    ' rates: a user has 1 to ' .. RATES_MAX ..
		    ', separated by spaces'
	end
	return rates
end)

function canonical.rate(text)
	local texts = {}
	local rates, why = parse_rates(text)
	if not rates then
		fail('INVALID', why)
	elseif #rates == 0 then
		invalid(text, 'no rate')
	end
	for i, rate in ipairs(rates) do
		texts[i] = rate.text
	end
	return table.concat(texts, ' ')
end

-- What most records have of these is the same.
local COMMON = { 'quota', 'limit', 'size', 'period', 'rate' }
for i = 1, #COMMON do
	canonical[COMMON[i]] = remembering(canonical[COMMON[i]])
end

end
