-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Times, in UTC.

local time_text, seconds_of

do

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
function time_text(microseconds)
	local seconds = math.floor(microseconds / 1000000)
	local year, month, day = date_of(math.floor(seconds / 86400))
	local rest = seconds % 86400
	return string.format('%04d-%02d-%02dT%02d:%02d:%02dZ', year, month,
	    day, math.floor(rest / 3600), math.floor(rest / 60) % 60,
	    rest % 60)
end

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
	year, month, day = tonumber(year), tonumber(month), tonumber(day)
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

-- Days since 1970; the reverse of date_of().
local function days_of(year, month, day)
	year = month <= 2 and year - 1 or year
	local era = math.floor(year / 400)
	local yoe = year - era * 400
	local march = month > 2 and month - 3 or month + 9
	return era * 146097 + yoe * 365 + math.floor(yoe / 4) -
	    math.floor(yoe / 100) + math.floor((153 * march + 2) / 5) + day -
	    1 - 719468
end

-- Seconds since 1970.
function seconds_of(text)
	local part = {}
	for digits in string.gmatch(canonical.time(text), '%d+') do
		part[#part + 1] = tonumber(digits)
	end
	return days_of(part[1], part[2], part[3]) * 86400 + part[4] * 3600 +
	    part[5] * 60 + part[6]
end

end
