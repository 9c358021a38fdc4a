-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Views of records, and what there is to know of these, as JSON.

do

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
		out[#out + 1] = json.text(fields[name])
	end
	return json.object(out)
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
		rows[i - 1] = json.object({ 'limit', json.text(row[1]),
		    'count', row[2], 'period', json.text(row[3]),
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
	return json.text(scheme_of(stored) or 'unknown')
end

-- The fields of a record, in pairs of name and JSON.
local function json_fields(kind, fields)
	local out = {}
	for _, field in ipairs(kind.fields) do
		out[#out + 1] = field.name
		out[#out + 1] = field.secret and
		    json_scheme(fields[field.name]) or
		    json.text(fields[field.name])
	end
	return out
end

function api.user_get(keys, args)
	local key, name = record_of(keys, USER)
	local period = args[1] or DEFAULT_PERIOD
	local problems = {}
	need(USER, key, name)
	canonical.period(period)
	local used = usage_or_problem(problems, key, period)
	local fields = fields_of(USER, key)
	fields.status = fields.status and
	    status_now(fields.status, fields.blocked_until, now())
	local sets = user_problems(problems, key, fields, {})
	local last = last_of(key)
	local out = append({ 'name', json.text(name) },
	    json_fields(USER, fields))
	return json.object(append(out, {
		'last_login', json.text(last[1]),
		'last_message', json.text(last[2]),
		'domains', json.list(sets.domains),
		'domain_count', tostring(sets.domain_count),
		'ips', json.list(sets.ips),
		'ip_count', tostring(sets.ip_count),
		'suppressed_count', json_count(sets.suppressed_count),
		'other', json_others(USER, fields),
		'usage', json_usage(used),
		'warnings', json.list(warnings_of(fields.password,
		    fields.restricted, sets.ip_count)),
		'problems', json.list(problems) }))
end

function api.account_get(keys, args)
	local key, name = record_of(keys, ACCOUNT)
	local period = args[1] or DEFAULT_PERIOD
	local problems = {}
	need(ACCOUNT, key, name)
	canonical.period(period)
	local used = usage_or_problem(problems, key, period)
	local fields = fields_of(ACCOUNT, key)
	local domains, count = members_or_problem(problems, key, 'domains')
	check_fields(problems, ACCOUNT, fields)
	check_domains(problems, ACCOUNT, domains)
	local silenced = suppressed.count(problems, key)
	local out = append({ 'name', json.text(name) },
	    json_fields(ACCOUNT, fields))
	return json.object(append(out, {
		'domains', json.list(domains),
		'domain_count', tostring(count),
		'suppressed_count', json_count(silenced),
		'other', json_others(ACCOUNT, fields),
		'usage', json_usage(used),
		'problems', json.list(problems) }))
end

-- What there is to know of the records themselves

local function json_rows(rows)
	local out = {}
	for i, row in ipairs(rows) do
		out[i] = json.object({
			'name', json.text(row.name),
			'kind', json.text(row.kind),
			'words', row.words and json.list(row.words) or 'null',
			'absent', json.text(row.absent or row.given),
			'number', tostring(row.number or false),
			'secret', tostring(row.secret or false),
			'settable', tostring(not row.unset),
			'most', row.most and tostring(row.most) or 'null',
			'help', json.text(row.help) })
	end
	return '[' .. table.concat(out, ',') .. ']'
end

function api.describe()
	local kinds = {}
	for _, kind in ipairs({ USER, ACCOUNT }) do
		kinds[#kinds + 1] = kind.word
		kinds[#kinds + 1] = json.object({
			'fields', json_rows(kind.fields),
			'sets', json_rows(kind.sets) })
	end
	return json.object({
		'version', tostring(VERSION),
		'hash', json.text(HASH),
		'release', json.text(RELEASE),
		'limits', json.object({
			'members', tostring(LIMITS.members),
			'bytes', tostring(LIMITS.bytes),
			'records', tostring(LIMITS.records),
			'words', tostring(LIMITS.words),
			'checked', tostring(LIMITS.checked),
			'listed', tostring(LIMITS.listed) }),
		'kinds', json.object(kinds) })
end

end
