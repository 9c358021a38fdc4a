-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What records hold, as JSON, and what the relay will not take of it.

local VIEW = {
	checked = 10000,	-- domains and ranges that are looked at
	told = 100,		-- members of a set that are complained of
	read = 4194304,		-- bytes of a set that are checked
	alabels = 4096,		-- bytes of A-labels that are decoded
	exact = 32768,		-- bytes of odd texts that are shown exactly
	odd = 255,		-- bytes beyond which a text is odd
	cut = 64,		-- bytes that are shown of the other odd ones
}
local DEFAULT_PERIOD = '86400'

-- JSON

-- The bytes of odd texts that are left to be shown exactly in this call.
local exact

-- The beginning of a text, of ASCII, for the odd one too many.
local function cut(text)
	local rest = #text > VIEW.cut and '...' or ''
	return string.gsub(string.sub(text, 1, VIEW.cut),
	    '[%c\128-\255]+', '\239\191\189') .. rest
end

-- What is no UTF-8 becomes U+FFFD: cjson would pass it on.  So that nobody
-- holds up Redis with what he has written, only so many are looked at closely.
local function clean(text)
	if #text <= VIEW.odd and not string.find(text, '[%c\128-\255]') then
		return text
	end
	if #text > exact then
		return cut(text)
	end
	exact = exact - #text
	if not string.find(text, '[\128-\255]') then
		return text
	end
	local out, at = {}, 1
	while at <= #text do
		local code, after = code_at(text, at)
		out[#out + 1] = code and string.sub(text, at, after - 1) or
		    '\239\191\189'
		at = code and after or at + 1
	end
	return table.concat(out)
end

local function json_text(text)
	if not text then
		return 'null'
	elseif #text <= VIEW.odd and
	    not string.find(text, '[%c"\\\128-\255]') then
		return '"' .. text .. '"'
	end
	return (string.gsub(cjson.encode(clean(text)), '\\/', '/'))
end

local function json_list(texts)
	local out = {}
	for i, text in ipairs(texts) do
		out[i] = json_text(text)
	end
	return '[' .. table.concat(out, ',') .. ']'
end

-- An object of names and JSON, in pairs.
local function json_object(pairs_of)
	local out = {}
	for i = 1, #pairs_of, 2 do
		out[#out + 1] = json_text(pairs_of[i]) .. ':' .. pairs_of[i + 1]
	end
	return '{' .. table.concat(out, ',') .. '}'
end

-- Reading

local function fields_of(key)
	local flat, fields = redis.call('HGETALL', key), {}
	for i = 1, #flat, 2 do
		fields[flat[i]] = flat[i + 1]
	end
	return fields
end

local function all_members(key)
	local members = redis.call('SMEMBERS', key)
	table.sort(members)
	return members
end

-- At least so many, where there are and they are not too large.
local function some_members(key, most)
	local members, size, cursor = {}, 0, '0'
	repeat
		local page = redis.call('SSCAN', key, cursor, 'COUNT', 1000)
		cursor = page[1]
		for _, member in ipairs(page[2]) do
			members[#members + 1] = member
			size = size + #member
		end
	until cursor == '0' or #members >= most or size > VIEW.read
	members.partial = cursor ~= '0'
	return members
end

-- The members of a set, or a problem: all and sorted, or some.
local function members_or_problem(problems, key, name, most)
	local found = type_of(key .. ':' .. name)
	if found == 'set' and most then
		return some_members(key .. ':' .. name, most)
	elseif found == 'set' then
		return all_members(key .. ':' .. name)
	elseif found ~= 'none' then
		problems[#problems + 1] = name .. ': not a set'
	end
	return {}
end

-- Problems

-- Complains of members, but not of all where they are many.
local function tell_members(problems, name, bad, what)
	for i = 1, math.min(#bad, VIEW.told) do
		problems[#problems + 1] = name .. ': ' .. visible(bad[i]) ..
		    ': ' .. what
	end
	if #bad > VIEW.told then
		problems[#problems + 1] = name .. ': ' .. #bad - VIEW.told ..
		    ' more like these'
	end
end

-- What is wrong with a password is said without the password.
local function told_of(name, why)
	return name == 'password' and why or name .. ': ' .. why
end

local function check_fields(problems, kind, fields)
	for _, name in ipairs(kind.read) do
		local value = fields[name] or ''
		local right, why = true, nil
		if value ~= '' then
			right, why = try(kind.checks[name], value)
		end
		if not right then
			problems[#problems + 1] = told_of(name, why)
		end
	end
end

-- Whether a text is a domain in its canonical form.  Those with A-labels are
-- taken for such once there are no bytes left to decode.
local function is_domain(text, left)
	if is_plain_domain(text) then
		return true
	elseif #text > DOMAIN_MAX or string.find(text, '[^a-z0-9.-]') then
		return false
	elseif string.find(text, 'xn--', 1, true) then
		left.alabels = left.alabels - #text
		if left.alabels < 0 then
			return true
		end
	end
	return try(canonical.domain, text) == text
end

local function check_domains(problems, domains)
	local bad, left = {}, { alabels = VIEW.alabels }
	for i = 1, math.min(#domains, VIEW.checked) do
		if not is_domain(domains[i], left) then
			bad[#bad + 1] = domains[i]
		end
	end
	tell_members(problems, 'domains', bad, 'not lower-case A-labels, so ' ..
	    'it never matches')
end

local function check_ips(problems, ips)
	local bad = {}
	for i, entry in ipairs(ips) do
		if i > VIEW.checked and #bad < i - 1 then
			break
		elseif not range_or_nil(entry) then
			bad[#bad + 1] = entry
		end
	end
	tell_members(problems, 'ips', bad, 'neither address nor range')
	if #ips > RANGES_MAX then
		problems[#problems + 1] = 'ips: more than ' .. RANGES_MAX ..
		    ' entries, so the user is refused'
	elseif #bad > 0 and #bad == #ips and not ips.partial then
		problems[#problems + 1] = 'ips: no entry is valid, so every ' ..
		    'source is refused'
	end
end

-- What is missing for the user to be of use.
local function check_use(problems, fields, has_domains)
	local function given(name)
		return (fields[name] or '') ~= ''
	end
	local mode = given('mode') and fields.mode or 'default'
	if not given('password') and not given('ip_auth') then
		problems[#problems + 1] = 'no password and no IP ' ..
		    'authentication, so nobody can log in'
	end
	if has_domains then
		return
	elseif mode == 'default' then
		problems[#problems + 1] = 'mode default without domains: ' ..
		    'can never send'
	elseif (mode == 'all' or mode == 'any') and not given('account') then
		problems[#problems + 1] = 'mode ' .. mode .. ' without ' ..
		    'domains and without an account: can never send'
	end
end

local function is_read(fields)
	for _, name in ipairs(READ_FIELDS) do
		if fields[name] then
			return true
		end
	end
	return false
end

-- What is used, or a problem with a counter; nil for either, or limits that are
-- none.
local function usage_or_problem(problems, key, period)
	local ok, found = pcall(usage,
	    { key, key .. ':used:quota', key .. ':used:rate' }, { period })
	if ok then
		return found[1] == 'ok' and found or nil
	end
	local text = error_text(found)
	if not text or not string.find(text, '^WRONGTYPE ') then
		error(found, 0)
	end
	problems[#problems + 1] = 'used: a counter is not a string, so ' ..
	    'nothing can be sent'
	return nil
end

local function user_problems(fields, domains, ips, problems)
	check_fields(problems, USER, fields)
	local address = fields.ip_auth or ''
	if address ~= '' and not address_or_nil(address) then
		local _, why = try(canonical.address, address)
		problems[#problems + 1] = 'ip_auth: ' .. why
	end
	local created = fields.created or ''
	if #created > FIELD_MAX or string.find(created, '%z') then
		problems[#problems + 1] = 'created: not a time'
	end
	if not is_read(fields) then
		problems[#problems + 1] = 'no field that the relay reads, ' ..
		    'so there is no such user'
	end
	check_ips(problems, ips)
	check_domains(problems, domains)
	check_use(problems, fields, #domains > 0)
	return problems
end

local function user_check(keys)
	local key, name = record_of(keys, USER)
	local problems = {}
	need(USER, key, name)
	local domains = members_or_problem(problems, key, 'domains',
	    VIEW.checked)
	local ips = members_or_problem(problems, key, 'ips', RANGES_MAX + 1)
	usage_or_problem(problems, key, DEFAULT_PERIOD)
	return user_problems(fields_of(key), domains, ips, problems)
end

-- Views

local function json_others(fields, known)
	local names, out = {}, {}
	for name in pairs(fields) do
		if not known[name] then
			names[#names + 1] = name
		end
	end
	table.sort(names)
	for _, name in ipairs(names) do
		out[#out + 1] = name
		out[#out + 1] = json_text(fields[name])
	end
	return json_object(out)
end

local function json_usage(found)
	if not found then
		return 'null'
	end
	local rows = {}
	for i = 2, #found do
		local row = found[i]
		rows[i - 1] = json_object({ 'limit', json_text(row[1]),
		    'count', row[2], 'period', json_text(row[3]),
		    'used', row[4], 'reset', row[5] })
	end
	return '[' .. table.concat(rows, ',') .. ']'
end

-- The time of the last login and of the last message.
local function last_of(key)
	if type_of(key .. ':last') ~= 'hash' then
		return {}
	end
	return redis.call('HMGET', key .. ':last', 'login', 'message')
end

local SHOWN_FIELDS = { 'account', 'mode', 'status', 'quota', 'quota_period',
    'rate', 'ip_auth', 'description', 'created' }
local USER_KNOWN = { password = true, account = true, mode = true,
    status = true, quota = true, quota_period = true, rate = true,
    ip_auth = true, description = true, created = true }

local function json_scheme(stored)
	if (stored or '') == '' then
		return 'null'
	end
	return json_text(scheme_of(stored) or 'unknown')
end

local function user_get(keys, args)
	local key, name = record_of(keys, USER)
	local period = args[1] or DEFAULT_PERIOD
	local problems = {}
	canonical.period(period)
	need(USER, key, name)
	exact = VIEW.exact
	local fields = fields_of(key)
	local domains = members_or_problem(problems, key, 'domains')
	local ips = members_or_problem(problems, key, 'ips')
	local used = usage_or_problem(problems, key, period)
	local last = last_of(key)
	local out = { 'name', json_text(name),
	    'password', json_scheme(fields.password) }
	for _, field in ipairs(SHOWN_FIELDS) do
		out[#out + 1] = field
		out[#out + 1] = json_text(fields[field])
	end
	for _, pair in ipairs({
		{ 'last_login', json_text(last[1]) },
		{ 'last_message', json_text(last[2]) },
		{ 'domains', json_list(domains) },
		{ 'ips', json_list(ips) },
		{ 'other', json_others(fields, USER_KNOWN) },
		{ 'usage', json_usage(used) },
		{ 'problems', json_list(user_problems(fields, domains, ips,
		    problems)) } }) do
		out[#out + 1] = pair[1]
		out[#out + 1] = pair[2]
	end
	return json_object(out)
end

local ACCOUNT_KNOWN = { plan = true, status = true }

local function account_get(keys)
	local key, name = record_of(keys, ACCOUNT)
	local problems = {}
	need(ACCOUNT, key, name)
	exact = VIEW.exact
	local fields = fields_of(key)
	local domains = members_or_problem(problems, key, 'domains')
	check_fields(problems, ACCOUNT, fields)
	check_domains(problems, domains)
	return json_object({ 'name', json_text(name),
	    'plan', json_text(fields.plan), 'status', json_text(fields.status),
	    'domains', json_list(domains),
	    'other', json_others(fields, ACCOUNT_KNOWN),
	    'problems', json_list(problems) })
end

