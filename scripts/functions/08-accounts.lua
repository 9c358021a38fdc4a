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
		    help = 'those of users who do not say it' },
		{ name = 'quota', kind = 'quota', number = true,
		    help = 'messages of all its users in a period, ' ..
		    '0 = unlimited' },
		{ name = 'quota_period', kind = 'period', number = true,
		    help = 'seconds, or a number with s, m, h, d or w' },
		{ name = 'rate', kind = 'rate',
		    help = 'messages/period of all its users' },
		{ name = 'over', kind = 'over', words = OVERS,
		    help = 'what becomes of mail beyond these; that of ' ..
		    'users who do not say it' },
		{ name = 'max_recipients', kind = 'limit', number = true,
		    help = 'that of users who do not say it' },
		{ name = 'max_size', kind = 'size', number = true,
		    help = 'that of users who do not say it' },
	},
	sets = {
		{ name = 'domains', kind = 'domain',
		    help = 'domains of the account' },
	},
	leftover = { ':domains', ':suppressed', ':used:quota',
	    ':used:quota:told', ':used:rate' },
})

function api.account_add(keys, args)
	return written(add_record, ACCOUNT, keys, args)
end

function api.account_set(keys, args)
	return written(set_record, ACCOUNT, keys, args)
end

function api.account_put(keys, args)
	return written(put_record, ACCOUNT, keys, args)
end

function api.account_reset(keys)
	return reset_record(ACCOUNT, keys)
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

