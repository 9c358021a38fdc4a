-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What is used of each limit, which is only asked.

do

local function quota_usage(scope, time)
	local l = scope.l
	local start, count = windows.read(scope.window, l.period, time)
	local row = { scope.kind .. 'quota', string.format('%.0f', l.quota),
	    l.period_text }
	if not start then
		row[4], row[5], row[6] = row[2], string.format('%.0f', l.period),
		    counters.key(scope.window)
		return row
	end
	row[4] = string.format('%.0f', count)
	row[5] = string.format('%.0f', count == 0 and 0 or math.ceil(
	    (start + l.period * 1000000 - time) / 1000000))
	return row
end

local function rate_usage(scope, rate, bucket, unread)
	local row = { scope.kind .. 'rate', string.format('%.0f', rate.n),
	    rate.period_text }
	if not bucket then
		row[4], row[5], row[6] = row[2],
		    string.format('%.0f', rate.period), unread
		return row
	end
	local used, seconds = buckets.used(bucket, rate.period)
	row[4], row[5] = string.format('%.0f', used),
	    string.format('%.0f', seconds)
	return row
end

-- Adds a row for each limit.
local function add_usage(rows, scope, time)
	local l = scope.l
	if l.quota > 0 then
		rows[#rows + 1] = quota_usage(scope, time)
	end
	local levels, unread = buckets.read(scope.buckets, l, time)
	for _, rate in ipairs(l.rates) do
		rows[#rows + 1] = rate_usage(scope, rate,
		    levels and levels.of[rate.period], unread)
	end
end

-- usage: DEFAULT_PERIOD -> {"ok", {which, limit, period, used, seconds}...}, and
-- in a row the key that cannot be read.
function api.usage(keys, args)
	local l, bad = limits_of(keys[1], args[1])
	local out = { 'ok' }
	if not l then
		return { 'bad', bad }
	end
	add_usage(out, scopes.of_record(keys, l), now())
	return out
end

-- sender_usage: DEFAULT_PERIOD FROM -> {"ok", NEXT, {domain, row...}...}: the same
-- of sender domains, a page of those that are counted; all of them once NEXT
-- is 0.
function api.sender_usage(keys, args)
	local l, bad = limits_of(keys[1], args[1])
	local from, time = parse_digits(args[2] or '', 10), now()
	if not l then
		return { 'bad', bad }
	elseif not from then
		invalid(args[2] or '', 'not where a page begins')
	elseif not l.sender then
		return { 'ok', '0' }
	end
	local names, after = senders.page(keys[1], from, time)
	local out = { 'ok', tostring(after) }
	for _, domain in ipairs(names) do
		local rows = { domain }
		add_usage(rows, scopes.of_sender(keys, l.sender, domain), time)
		out[#out + 1] = rows
	end
	return out
end

end
