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
		    help = 'pro enables the mode any, another word does not' },
		{ name = 'status', kind = 'status', words = STATUSES,
		    absent = 'allowed',
		    help = 'the stricter of this and that of the user counts' },
		{ name = 'user_prefix', kind = 'prefix',
		    help = 'names of its users begin so; others are refused' },
		{ name = 'alarms', kind = 'alarms',
		    help = 'for users who have none of their own' },
		{ name = 'quota', kind = 'quota', number = true,
		    help = 'messages of all its users in a period, ' ..
		    '0 = unlimited' },
		{ name = 'quota_period', kind = 'period', number = true,
		    help = 'seconds, or a number with s, m, h, d or w' },
		{ name = 'rate', kind = 'rate',
		    help = 'messages/period of all its users' },
		{ name = 'over', kind = 'over', words = OVERS,
		    help = 'what happens to mail beyond these; also for ' ..
		    'users who have none of their own' },
		{ name = 'max_recipients', kind = 'limit', number = true,
		    help = 'for users who have none of their own' },
		{ name = 'max_size', kind = 'size', number = true,
		    help = 'for users who have none of their own' },
	},
	sets = {
		{ name = 'domains', kind = 'domain',
		    help = 'domains of the account' },
	},
	signs = 5,
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

