-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- What records hold, and what the relay will not take of it.

local DEFAULT_PERIOD = '86400'

local fields_of, members_or_problem, check_fields, check_domains, warnings_of
local count_problems, usage_or_problem, user_problems

do

local TOLD = 100		-- members of a set that are complained of
local READ = 200		-- fields of a hash that are all read
local DEAR = 10			-- as one problem costs as many good members

-- A page that finds many looks at fewer records.
function count_problems(count)
	left.read = left.read - DEAR * count
end

-- Reading

-- The fields by name; those that are known alone where there are very many.
function fields_of(kind, key)
	local fields, names = {}, {}
	if redis.call('HLEN', key) <= READ then
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
-- there are, which the caller may know; or a problem.
function members_or_problem(problems, key, name, count)
	local set, members = key .. ':' .. name, nil
	count = count or size_of(set)
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
	count_problems(#bad)
	for i = 1, math.min(#bad, TOLD) do
		problems[#problems + 1] = name .. ': ' .. visible(bad[i]) ..
		    ': ' .. what
	end
	if #bad > TOLD then
		problems[#problems + 1] = name .. ': ' .. #bad - TOLD ..
		    ' more like these'
	end
end

-- What is wrong with a password is said without the password.
local function told_of(name, why)
	return name == 'password' and why or name .. ': ' .. why
end

-- When a user was made is not for the relay to understand, only to read.
function check_fields(problems, kind, fields)
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

function check_domains(problems, kind, domains)
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
function warnings_of(password, restricted, ip_count)
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
		if is_sign(field) and fields[field.name] then
			return true
		end
	end
	return false
end

-- What is used, and problems with counters; nil for limits that are none.
function usage_or_problem(problems, key, period)
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

-- The sizes of the sets, by name, where the caller knows them; what was read.
function user_problems(problems, key, fields, sizes)
	local domains, domain_count = members_or_problem(problems, key,
	    'domains', sizes.domains)
	local ips, ip_count = members_or_problem(problems, key, 'ips',
	    sizes.ips)
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
	user_problems(problems, key, fields_of(USER, key), {})
	return problems
end

end
