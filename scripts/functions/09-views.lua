-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What records hold, as JSON, and what the relay will not take of it.

local VIEW = {
	told = 100,		-- members of a set that are complained of
	fields = 200,		-- fields of a hash that are all read
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

-- The fields by name; those that are known alone where there are very many.
local function fields_of(kind, key)
	local fields, names = {}, {}
	if redis.call('HLEN', key) <= VIEW.fields then
		local flat = redis.call('HGETALL', key)
		for i = 1, #flat, 2 do
			fields[flat[i]] = flat[i + 1]
		end
		return fields
	end
	for i, field in ipairs(kind.fields) do
		names[i] = field.name
	end
	for i, value in ipairs(redis.call('HMGET', key, unpack(names))) do
		fields[names[i]] = value or nil
	end
	return fields
end

-- The members of a set, sorted, or some where there are very many, and how many
-- there are; or a problem.
local function members_or_problem(problems, key, name)
	local set, members = key .. ':' .. name, nil
	local count = size_of(set)
	if not count or count == 0 then
		problems[#problems + 1] = not count and name .. ': not a set' or
		    nil
		return {}, 0
	elseif count <= LIMITS.listed then
		members = redis.call('SMEMBERS', set)
	else
		members = redis.call('SSCAN', set, '0', 'COUNT',
		    tostring(LIMITS.listed))[2]
	end
	table.sort(members)
	return members, count
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

-- When a user was made is not for the relay to understand, only to read.
local function check_fields(problems, kind, fields)
	for i = 1, #kind.fields do
		local field = kind.fields[i]
		local name, value = field.name, fields[field.name]
		if not value or value == '' or field.note then
			-- Nothing to be read.
		elseif name == 'created' then
			problems[#problems + 1] = (#value > FIELD_MAX or
			    string.find(value, '%z')) and
			    'created: not a time' or nil
		else
			local right, why = try(canonical[field.kind], value)
			problems[#problems + 1] = not right and
			    told_of(name, why) or nil
		end
	end
end

local function check_domains(problems, kind, domains)
	local bad = {}
	for _, domain in ipairs(domains) do
		if not is_plain_domain(domain) and
		    try(canonical[kind.set.domains.kind], domain) ~=
		    domain then
			bad[#bad + 1] = domain
		end
	end
	tell_members(problems, 'domains', bad, 'not lower-case A-labels, so ' ..
	    'it never matches')
end

local function check_ips(problems, ips, count)
	local bad, odd = {}, {}
	for _, entry in ipairs(ips) do
		local right = range_or_nil(entry)
		if not right then
			bad[#bad + 1] = entry
		elseif right ~= entry then
			odd[#odd + 1] = entry
		end
	end
	tell_members(problems, 'ips', bad, 'neither address nor range')
	tell_members(problems, 'ips', odd, 'not written as it should be, so ' ..
	    'that a long list does not have it')
	if count > RANGES_MAX then
		problems[#problems + 1] = 'ips: more than ' .. RANGES_MAX ..
		    ' entries, so the user is refused'
	elseif #bad > 0 and #bad == count then
		problems[#problems + 1] = 'ips: no entry is valid, so every ' ..
		    'source is refused'
	end
end

-- What is better changed.
local function warnings_of(password, restricted, ip_count)
	local unguarded = ip_count > 0 and (restricted or '') == '' and
	    'restricted: not set, so any source is let in should the list ' ..
	    'of sources get lost' or nil
	local slow = slow_text(password or '')
	return { slow or unguarded, slow and unguarded }
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
	for _, field in ipairs(USER.fields) do
		if not field.note and fields[field.name] then
			return true
		end
	end
	return false
end

-- What is used, and problems with counters; nil for limits that are none.
local function usage_or_problem(problems, key, period)
	local told = {}
	local found = api.usage({ key, key .. ':used:quota', key .. ':used:rate' },
	    { period })
	if found[1] ~= 'ok' then
		return nil
	end
	for i = 2, #found do
		local counter_key = found[i][6]
		if counter_key and not told[counter_key] then
			problems[#problems + 1] = string.sub(counter_key,
			    #key + 2) .. ': cannot be read, so it counts as ' ..
			    'used up'
			told[counter_key] = true
		end
	end
	return found
end

local function user_problems(problems, key, fields)
	local domains, domain_count = members_or_problem(problems, key,
	    'domains')
	local ips, ip_count = members_or_problem(problems, key, 'ips')
	check_fields(problems, USER, fields)
	if not is_read(fields) then
		problems[#problems + 1] = 'no field that the relay reads, ' ..
		    'so there is no such user'
	end
	check_ips(problems, ips, ip_count)
	if fields.restricted == '1' and ip_count == 0 and
	    type_of(key .. ':ips') == 'none' then
		problems[#problems + 1] = 'restricted: there is no list of ' ..
		    'sources, so nobody is let in'
	end
	check_domains(problems, USER, domains)
	local count = suppressed.count(problems, key)
	check_use(problems, fields, domain_count > 0)
	return { domains = domains, domain_count = domain_count, ips = ips,
	    ip_count = ip_count, suppressed_count = count }
end

function api.user_check(keys)
	local key, name = record_of(keys, USER)
	local problems = {}
	need(USER, key, name)
	usage_or_problem(problems, key, DEFAULT_PERIOD)
	user_problems(problems, key, fields_of(USER, key))
	return problems
end

-- Views

local function json_others(kind, fields)
	local names, out = {}, {}
	for name in pairs(fields) do
		if not kind.field[name] then
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

local function json_count(count)
	return count and tostring(count) or 'null'
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
	local last = redis.pcall('HMGET', key .. ':last', 'login', 'message')
	return last.err and {} or last
end

local function json_scheme(stored)
	if (stored or '') == '' then
		return 'null'
	end
	return json_text(scheme_of(stored) or 'unknown')
end

-- The fields of a record, in pairs of name and JSON.
local function json_fields(kind, fields)
	local out = {}
	for _, field in ipairs(kind.fields) do
		out[#out + 1] = field.name
		out[#out + 1] = field.secret and
		    json_scheme(fields[field.name]) or
		    json_text(fields[field.name])
	end
	return out
end

function api.user_get(keys, args)
	local key, name = record_of(keys, USER)
	local period = args[1] or DEFAULT_PERIOD
	local problems = {}
	need(USER, key, name)
	canonical.period(period)
	exact = VIEW.exact
	local used = usage_or_problem(problems, key, period)
	local fields = fields_of(USER, key)
	fields.status = fields.status and
	    status_now(fields.status, fields.blocked_until, now())
	local sets = user_problems(problems, key, fields)
	local last = last_of(key)
	local out = append({ 'name', json_text(name) },
	    json_fields(USER, fields))
	return json_object(append(out, {
		'last_login', json_text(last[1]),
		'last_message', json_text(last[2]),
		'domains', json_list(sets.domains),
		'domain_count', tostring(sets.domain_count),
		'ips', json_list(sets.ips),
		'ip_count', tostring(sets.ip_count),
		'suppressed_count', json_count(sets.suppressed_count),
		'other', json_others(USER, fields),
		'usage', json_usage(used),
		'warnings', json_list(warnings_of(fields.password,
		    fields.restricted, sets.ip_count)),
		'problems', json_list(problems) }))
end

function api.account_get(keys, args)
	local key, name = record_of(keys, ACCOUNT)
	local period = args[1] or DEFAULT_PERIOD
	local problems = {}
	need(ACCOUNT, key, name)
	canonical.period(period)
	exact = VIEW.exact
	local used = usage_or_problem(problems, key, period)
	local fields = fields_of(ACCOUNT, key)
	local domains, count = members_or_problem(problems, key, 'domains')
	check_fields(problems, ACCOUNT, fields)
	check_domains(problems, ACCOUNT, domains)
	local silenced = suppressed.count(problems, key)
	local out = append({ 'name', json_text(name) },
	    json_fields(ACCOUNT, fields))
	return json_object(append(out, {
		'domains', json_list(domains),
		'domain_count', tostring(count),
		'suppressed_count', json_count(silenced),
		'other', json_others(ACCOUNT, fields),
		'usage', json_usage(used),
		'problems', json_list(problems) }))
end

-- What there is to know of the records themselves

local function json_rows(rows)
	local out = {}
	for i, row in ipairs(rows) do
		out[i] = json_object({
			'name', json_text(row.name),
			'kind', json_text(row.kind),
			'words', row.words and json_list(row.words) or 'null',
			'absent', json_text(row.absent or row.given),
			'number', tostring(row.number or false),
			'secret', tostring(row.secret or false),
			'most', row.most and tostring(row.most) or 'null',
			'help', json_text(row.help) })
	end
	return '[' .. table.concat(out, ',') .. ']'
end

function api.describe()
	local kinds = {}
	exact = VIEW.exact
	for _, kind in ipairs({ USER, ACCOUNT }) do
		kinds[#kinds + 1] = kind.word
		kinds[#kinds + 1] = json_object({
			'fields', json_rows(kind.fields),
			'sets', json_rows(kind.sets) })
	end
	return json_object({
		'version', tostring(VERSION),
		'hash', json_text(HASH),
		'limits', json_object({
			'members', tostring(LIMITS.members),
			'bytes', tostring(LIMITS.bytes),
			'records', tostring(LIMITS.records),
			'words', tostring(LIMITS.words),
			'checked', tostring(LIMITS.checked),
			'listed', tostring(LIMITS.listed) }),
		'kinds', json_object(kinds) })
end

