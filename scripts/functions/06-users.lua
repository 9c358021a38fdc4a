-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Users.

-- What the relay takes for a sign that there is a user.
local READ_FIELDS = { 'password', 'account', 'mode', 'status', 'quota',
    'quota_period', 'rate', 'ip_auth', 'created' }

local USER = {
	word = 'user',
	name = canonical.name,
	missing = 'NOUSER',
	given = 'password, account, mode, status, quota, quota_period, ' ..
	    'rate, description, created, domains, ips',
	read = { 'password', 'account', 'mode', 'status', 'quota',
	    'quota_period', 'rate' },
	checks = {
		password = canonical.hash,
		account = canonical.account,
		mode = canonical.mode,
		status = canonical.status,
		quota = canonical.quota,
		quota_period = canonical.period,
		rate = canonical.rate,
		description = canonical.description,
		created = canonical.time,
	},
	elsewhere = { ip_auth = 'set by smtpusers_user_ipauth after ' ..
	    'smtpusers_ip_claim' },
	sets = { domains = canonical.domain, ips = canonical.range },
	defaults = {},
	leftover = { ':domains', ':ips', ':log', ':last', ':used:quota' },
}

function USER.holds(field)
	for _, name in ipairs(READ_FIELDS) do
		if field == name then
			return true
		end
	end
	return false
end

function USER.fill()
	return { 'created', time_text(now()) }
end

local function user_add(keys, args)
	return add_record(USER, keys, args)
end

local function user_set(keys, args)
	return set_record(USER, keys, args)
end

local function user_put(keys, args)
	return put_record(USER, keys, args)
end

local function user_del(keys)
	local key, name = record_of(keys, USER)
	local held = {}
	if exists(key) then
		held = redis.call('HMGET', key, 'ip_auth', 'rate')
	end
	if address_or_nil(held[1] or '') then
		fail('HELD', name .. ': has IP authentication: clear ' ..
		    'it first')
	end
	return remove_record(USER, key, held[2])
end

local function user_domain_add(keys, args)
	return add_domains(USER, keys, args)
end

local function user_domain_rm(keys, args)
	return remove_domains(USER, keys, args)
end

