-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Accounts.

local ACCOUNT = {
	word = 'account',
	name = canonical.account,
	missing = 'NOACCOUNT',
	given = 'plan, status, domains',
	read = { 'plan', 'status' },
	checks = { plan = canonical.plan, status = canonical.status },
	elsewhere = {},
	sets = { domains = canonical.domain },
	defaults = { plan = 'basic' },
	leftover = { ':domains' },
}

function ACCOUNT.holds()
	return true
end

function ACCOUNT.fill()
	return { 'plan', ACCOUNT.defaults.plan }
end

local function account_add(keys, args)
	return add_record(ACCOUNT, keys, args)
end

local function account_set(keys, args)
	return set_record(ACCOUNT, keys, args)
end

local function account_put(keys, args)
	return put_record(ACCOUNT, keys, args)
end

local function account_del(keys)
	local key = record_of(keys, ACCOUNT)
	return remove_record(ACCOUNT, key)
end

local function account_domain_add(keys, args)
	return add_domains(ACCOUNT, keys, args)
end

local function account_domain_rm(keys, args)
	return remove_domains(ACCOUNT, keys, args)
end

