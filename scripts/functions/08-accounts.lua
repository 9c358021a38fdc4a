-- Copyright (c) 2026 The smtpusers authors
-- See LICENSE.
--
-- Accounts.

local ACCOUNT = record_kind({
	word = 'account',
	check = canonical.account,
	missing = 'NOACCOUNT',
	fields = {
		{ name = 'plan', kind = 'plan', given = 'basic',
		    help = 'pro, with which users of mode any send from any ' ..
		    'domain, or another word' },
		{ name = 'status', kind = 'status', words = STATUSES,
		    absent = 'allowed',
		    help = 'the status of its users, where theirs is better' },
		{ name = 'user_prefix', kind = 'prefix',
		    help = 'how the names of its users begin; others are not ' ..
		    'its users' },
		{ name = 'alarms', kind = 'alarms',
		    help = 'the same of users who do not say it' },
		{ name = 'over', kind = 'over', words = OVERS,
		    help = 'the same of users who do not say it' },
		{ name = 'max_recipients', kind = 'limit', number = true,
		    help = 'the same' },
		{ name = 'max_size', kind = 'size', number = true,
		    help = 'the same' },
	},
	sets = {
		{ name = 'domains', kind = 'domain',
		    help = 'domains of the account' },
	},
	leftover = { ':domains', ':suppressed' },
})

function api.account_add(keys, args)
	return add_record(ACCOUNT, keys, args)
end

function api.account_set(keys, args)
	return set_record(ACCOUNT, keys, args)
end

function api.account_put(keys, args)
	return put_record(ACCOUNT, keys, args)
end

function api.account_del(keys)
	local key = record_of(keys, ACCOUNT)
	local was = exists(key) and 1 or 0
	redis.call('UNLINK', key, unpack(leftovers(ACCOUNT, key)))
	return was
end

function api.account_domain_add(keys, args)
	return add_domains(ACCOUNT, keys, args)
end

function api.account_domain_rm(keys, args)
	return remove_domains(ACCOUNT, keys, args)
end

