-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What is told of a quota: that it is nearly used up, and that it is; each once
-- in a window, and once an hour at most, whatever is given back: no client is to
-- fill the stream of events.  Of another limit it is told anew.
--   user:{NAME}:used:quota:told  "LIMIT LEVEL": what was told

local telling = {}

do

local NEAR = 0.9		-- of a quota, from where on it is told
local TOLD = 3600		-- seconds in which that is told once at most

-- An account as it may be told: "" for what is no name of one.
function telling.account(text)
	return try(canonical.account, text) or ''
end

local function tell(call, scope, level, count)
	local l, key = scope.l, scope.window .. ':told'
	local n = string.format('%.0f', l.quota)
	local told = redis.pcall('GET', key)
	if told == n .. ' ' .. level or told == n .. ' reached' or
	    type(told) == 'table' then
		return
	end
	local left = scope.start / 1000000 + l.period - call.time / 1000000
	redis.call('SET', key, n .. ' ' .. level, 'EX',
	    string.format('%.0f', math.max(TOLD, math.ceil(left))))
	call.events[#call.events + 1] = { 'limit.' .. level,
	    'account', telling.account(l.account), 'limit', n,
	    'period', l.period_text, 'used', string.format('%.0f', count) }
end

-- Behind a charge: whether it went past one of the marks.
function telling.charged(call, scope)
	local quota, before = scope.l.quota, scope.count
	local after = quota > 0 and before + call.units or 0
	if quota > 0 and after >= quota then
		tell(call, scope, 'reached', after)
	elseif quota > 0 and after >= NEAR * quota and before < NEAR * quota then
		tell(call, scope, 'near', after)
	end
end

-- Of a refusal that is the quota's, and only for now.
function telling.refused(call, scope, why)
	if why[1] == 'full' and why[2] == 'quota' and why[5] ~= '' and
	    why[6] == '' then
		tell(call, scope, 'reached', scope.count)
	end
end

end
