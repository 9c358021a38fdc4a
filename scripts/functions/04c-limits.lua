-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- The limits that a record has, as a table: quota, 0 for none, its period in
-- seconds and period_text; rates, as parse_rates() has them, and least, the fewest
-- messages of each of their periods; account, or ""; sender, the limits of each
-- sender domain, where there are any.

local limits_of

do

-- A quota and rates, or nil and what is wrong with them.
local function parse_limits(quota, rate, period, text)
	local n = quota == '' and 0 or parse_count(quota or '0')
	local rates = parse_rates(rate or '')
	local least = {}
	if not n then
		return nil, 'quota'
	elseif not rates then
		return nil, 'rate'
	end
	for _, one in ipairs(rates) do
		least[one.period] = math.min(one.n,
		    least[one.period] or one.n)
	end
	return { quota = n, period = period, period_text = text,
	    rates = rates, least = least }
end

-- Those of the record with this key, or nil and the field that is wrong.
function limits_of(key, default_period)
	local v = redis.call('HMGET', key, 'quota', 'quota_period', 'rate',
	    'sender_quota', 'sender_rate', 'account')
	local text = (v[2] or '') ~= '' and v[2] or period_text(default_period)
	local period = parse_period(text)
	if not period then
		return nil, 'quota_period'
	end
	local l, bad = parse_limits(v[1], v[3], period, text)
	if l then
		l.account = v[6] or ''
	end
	if not l or not (v[4] or v[5]) then
		return l, bad
	end
	l.sender, bad = parse_limits(v[4], v[5], period, text)
	if bad then
		return nil, 'sender_' .. bad
	elseif l.sender.quota == 0 and #l.sender.rates == 0 then
		l.sender = nil
	end
	return l
end

end
